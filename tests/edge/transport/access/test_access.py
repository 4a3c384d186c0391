"""How a device reaches a guarded cloud, and what it says when it may not."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import RealCloud
from tests.support.certs import Authority, authority

from partway.edge.discovery.zeroconf import Search
from partway.edge.session.session import Session
from partway.edge.session.start.embedded_cloud import EmbeddedCloud
from partway.edge.transport.access.access import OPEN, Access
from partway.edge.transport.access.tls import Tls, checked
from partway.edge.transport.client import CloudClient
from partway.edge.transport.cloud_monitor import CloudMonitor
from partway.errors import InputError, Refused
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder

TOKEN = "5f1d7e84c2a9b06d"
PLAN = load_plan(model_folder("mnist"))
EdgeRun = Callable[..., "subprocess.CompletedProcess[str]"]
StartCloud = Callable[..., RealCloud]


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def token_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("token") / "token"
    file.write_text(TOKEN + "\n")
    file.chmod(0o600)
    return file


def tls(ca: Authority, name: str = "") -> Tls:
    return Tls(ca.ca.read_bytes(), name=name)


@pytest.fixture
def guarded(start_cloud: StartCloud, ca: Authority, token_file: Path) -> RealCloud:
    """cloud-serve with a token, by TLS, in its own process."""
    certificate, key = ca.issue("cloud")
    serving = ("--tls-cert", str(certificate), "--tls-key", str(key), "--token-file", str(token_file))
    return start_cloud("--threads", "1", *serving)


def said_of(cloud: RealCloud, access: Access, address: str = "") -> str:
    with (
        CloudClient(address or cloud.address, 1.0, access=access) as client,
        pytest.raises((InputError, Refused)) as no,
    ):
        client.describe("mnist")
    assert TOKEN not in str(no.value)
    return str(no.value)


def test_frames_go_by_tls_with_the_token(
    guarded: RealCloud, ca: Authority, token_file: Path, edge_run: EdgeRun
) -> None:
    """Answered by the cloud; neither representation, command line nor output holds the token."""
    run = ("--model", "mnist", "--split", "1", "--codec", "raw", "--frames", "3", "--json", "-")
    reached = ("--cloud", f"localhost:{guarded.port}", "--tls-ca", str(ca.ca))
    done = edge_run(*run, *reached, "--token-file", str(token_file))
    assert (done.returncode, done.stderr) == (0, "")
    assert [frame["answered_by"] for frame in json.loads(done.stdout)["frames"]] == ["cloud"] * 3
    assert TOKEN not in repr(Access(TOKEN))
    assert TOKEN not in done.stdout + Path(f"/proc/{guarded.process.pid}/cmdline").read_text()
    refused = edge_run(*run, *reached)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.count("\n") == 1
    assert "requires a token and none was sent: give --token-file FILE or set PARTWAY_TOKEN" in refused.stderr


def test_why_a_guarded_cloud_cannot_be_reached_is_said(
    guarded: RealCloud, ca: Authority, tmp_path: Path, start_cloud: StartCloud
) -> None:
    """Token, CA, name, dates, TLS on one side only: each has its sentence, with what to do."""
    port, name = guarded.port, "localhost"
    other = authority(tmp_path, "other")
    assert "the token does not match this cloud's" in said_of(guarded, Access("wrong", tls(ca)))
    assert "requires a token" in said_of(guarded, Access("", tls(ca)))
    assert "not from a CA that this device trusts" in said_of(guarded, Access(TOKEN, tls(other)))
    assert "give the CA's own certificate with --tls-ca FILE" in said_of(guarded, Access(TOKEN, tls(other)))
    wrong_name = said_of(guarded, Access(TOKEN, tls(ca, "cloud.example")))
    assert "its certificate is not for cloud.example; give the address" in wrong_name
    assert "not for ::1" in said_of(guarded, Access(TOKEN, tls(ca)), f"[::1]:{port}") or not _listens_v6(port)
    assert said_of(guarded, Access(TOKEN), f"{name}:{port}").endswith(
        "speaks TLS; give its CA with --tls-ca FILE, or --tls"
    )
    clear = start_cloud("--threads", "1")
    assert "the server does not speak TLS" in said_of(clear, Access(TOKEN, tls(ca)))


def _listens_v6(port: int) -> bool:

    try:
        socket.create_connection(("::1", port), 0.2).close()
    except OSError:
        return False
    return True


def test_a_cloud_that_wants_a_certificate_gets_this_devices(
    start_cloud: StartCloud, ca: Authority, tmp_path: Path
) -> None:
    """Without one, or with a stranger's, the sentence says which option gives it."""
    certificate, key = ca.issue("mutual")
    cloud = start_cloud("--tls-cert", str(certificate), "--tls-key", str(key), "--tls-client-ca", str(ca.ca))
    assert "it requires a certificate of this device; give --tls-cert FILE" in said_of(cloud, Access("", tls(ca)))
    stranger = Tls(ca.ca.read_bytes(), *authority(tmp_path, "other").issue("stranger"))
    assert "stranger.pem; give one of the CA it trusts" in said_of(cloud, Access("", stranger))
    own = checked(Tls(ca.ca.read_bytes(), *ca.issue("device", "DNS:device")))
    with CloudClient(cloud.address, access=Access("", own)) as client:
        assert client.describe("mnist").digest == PLAN.digest


def test_a_key_of_another_certificate_is_refused_at_once(ca: Authority, edge_run: EdgeRun) -> None:
    """Before anything is sent."""
    certificate, _ = ca.issue("mine")
    _, key = ca.issue("yours")
    done = edge_run("--model", "mnist", "--cloud", "192.0.2.7:1", "--tls-cert", str(certificate), "--tls-key", str(key))
    assert done.returncode == 2
    assert "is not the key of certificate" in done.stderr


def test_a_token_that_is_refused_in_mid_run_costs_no_frame(
    guarded: RealCloud, ca: Authority, token_file: Path, start_cloud: StartCloud, caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:  # fmt: skip
    """The cloud comes back with another token: the device answers, and says once why it does so alone."""
    picture = np.zeros((28, 28, 1), np.uint8)
    options = {"cloud": guarded.address, "token_file": token_file, "tls_ca": ca.ca}
    with Session("mnist", split="1", codec="raw", **options) as session:  # type: ignore[arg-type]
        assert session.infer(picture).answered_by == "cloud"
        guarded.process.kill()
        guarded.process.wait()
        another = tmp_path / "another"
        another.write_text("another-token")
        another.chmod(0o600)
        pair = [str(file) for file in ca.issue("cloud2")]
        again = ("--grpc-port", str(guarded.port), "--token-file", str(another))
        start_cloud("--threads", "1", *again, "--tls-cert", pair[0], "--tls-key", pair[1])
        until_s = time.monotonic() + 20
        said: list[str] = []
        while not said and time.monotonic() < until_s:
            assert session.infer(picture).answered_by == "device"
            time.sleep(0.02)
            said = [r.getMessage() for r in caplog.records if "token does not match this cloud's" in r.getMessage()]
        time.sleep(1.0)  # it looks again meanwhile
        assert session.infer(picture).answered_by == "device"
    said = [r.getMessage() for r in caplog.records if "token does not match this cloud's" in r.getMessage()]
    assert len(said) == 1
    assert TOKEN not in caplog.text


def test_a_lookout_brings_the_token_and_sees_the_cloud(guarded: RealCloud, ca: Authority) -> None:
    """By TLS, from its own thread."""
    monitor = CloudMonitor(guarded.address, "mnist", PLAN.digest, lambda: False, Access(TOKEN, tls(ca)))
    until_s = time.monotonic() + 20
    while monitor.status is None and time.monotonic() < until_s:
        time.sleep(0.01)
    seen = monitor.status
    monitor.close()
    assert seen is not None


def test_a_cloud_that_was_found_is_trusted_only_by_tls() -> None:
    """Anybody can announce a cloud: no token goes there in the clear, and TLS that was asked for is not given up."""
    secured = Tls(b"roots")
    assert OPEN.for_found("192.0.2.7:1", tls=False) is OPEN
    assert Access(TOKEN, secured).for_found("192.0.2.7:1", tls=True).tls is secured
    assert Access(TOKEN).for_found("192.0.2.7:1", tls=True).tls is not None
    with pytest.raises(InputError, match=r"so it does not get the token; name it with --cloud 192\.0\.2\.7:1"):
        Access(TOKEN).for_found("192.0.2.7:1", tls=False)
    with pytest.raises(InputError, match="does not use TLS, which was requested"):
        Access("", secured).for_found("192.0.2.7:1", tls=False)


def test_a_token_in_the_clear_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """Beyond this machine only, and once for each cloud."""
    for address in ("192.0.2.9:1", "192.0.2.9:1", "127.0.0.1:1", "localhost:1", "[::1]:1"):
        with CloudClient(address, access=Access(TOKEN)):
            pass
    with CloudClient("192.0.2.9:2", access=Access(TOKEN, Tls())):
        pass
    assert [r.getMessage() for r in caplog.records if r.name == "partway.edge"] == [
        "the token crosses the network to 192.0.2.9:1 in the clear; use TLS (--tls-ca FILE)"
    ]


def test_the_embedded_cloud_is_not_guarded_by_a_token_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """PARTWAY_TOKEN is for the cloud elsewhere."""
    monkeypatch.setenv("PARTWAY_TOKEN", TOKEN)
    with EmbeddedCloud(model_folder("mnist"), 1) as cloud, CloudClient(cloud.address()) as client:
        assert client.describe("mnist").digest == PLAN.digest


@pytest.fixture
def announced(ca: Authority, token_file: Path) -> Iterator["subprocess.Popen[str]"]:
    """A guarded cloud on all interfaces that announces itself."""
    certificate, key = ca.issue("announced", "DNS:cloud.example")
    command = [sys.executable, "-m", "partway.cloud", "--host", "0.0.0.0", "--grpc-port", "0", "--json",
               "--tls-cert", str(certificate), "--tls-key", str(key), "--token-file", str(token_file)]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as cloud:
        assert cloud.stdout is not None
        assert cloud.stdout.readline()
        yield cloud
        cloud.kill()


def test_a_cloud_that_announces_tls_is_reached_by_tls(
    announced: object, ca: Authority, token_file: Path, edge_run: EdgeRun
) -> None:
    """Found by zeroconf and trusted by its certificate; without the CA, it says what it lacks."""
    run = ("--model", "mnist", "--split", "1", "--codec", "raw", "--frames", "2")
    done = edge_run(*run, "--tls-ca", str(ca.ca), "--tls-name", "cloud.example", "--token-file", str(token_file))
    assert done.returncode == 0, done.stderr
    with Search(3.0) as search:
        found = search.result("mnist", PLAN.digest)
    if found is None or "zeroconf" not in done.stdout:
        pytest.skip("multicast goes nowhere on this network, or it takes longer than edge-run waits")
    assert "(found by zeroconf, TLS)" in done.stdout
    assert found.tls
    without = Access(TOKEN).for_found(found.address, found.tls)
    with (
        CloudClient(found.address, access=without) as client,
        pytest.raises(InputError, match="not from a CA that this device trusts"),
    ):
        client.describe("mnist")
