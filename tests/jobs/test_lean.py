"""What a device does not load as long as it does not need it."""

import subprocess
import sys

PROGRAM = """
import sys
from partway.edge.main import main
code = main(["--model", "mnist", "--cloud", "none", "--frames", "3", "--json", "/dev/null"])
print(*sys.modules, file=sys.stderr)
sys.exit(code)
"""
HEAVY = {"grpc", "asyncio", "ssl", "zeroconf", "google.protobuf.service", "numpy.random"}


def test_a_device_without_a_cloud_loads_no_network_library() -> None:
    """gRPC, asyncio and TLS are 20 MB that a device on its own saves."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stderr.split())
    assert "partway.edge.pipeline.runner" in loaded
    assert not HEAVY & loaded
