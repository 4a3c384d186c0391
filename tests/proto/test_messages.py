"""The compiled descriptors and the message classes made of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from partway.proto import messages as m

ROOT = Path(__file__).parents[2]


def test_the_descriptors_are_those_of_the_proto_files(tmp_path: Path) -> None:
    """scripts/gen-proto makes exactly the descriptors.binpb that is shipped."""
    pytest.importorskip("grpc_tools")
    made = tmp_path / "descriptors.binpb"
    subprocess.run([ROOT / "scripts" / "gen-proto", made], env={**os.environ, "PYTHON": sys.executable}, check=True)
    assert made.read_bytes() == (ROOT / "proto" / "descriptors.binpb").read_bytes()


def test_another_inference_protocol_may_live_in_the_same_process() -> None:
    """Our messages are not in protobuf's default pool, where Triton's client and KServe put theirs."""
    theirs = descriptor_pb2.FileDescriptorProto(name="grpc_service.proto", package="inference", syntax="proto3")
    theirs.message_type.add(name="ModelInferRequest").field.add(name="other", number=1, type=9, label=1)
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(theirs.SerializeToString())
    other = message_factory.GetMessageClass(pool.FindMessageTypeByName("inference.ModelInferRequest"))
    assert other(other="x").SerializeToString() == b"\x0a\x01x"
    assert m.ModelInferRequest.FromString(b"\x0a\x01x").model_name == "x"


@pytest.mark.parametrize(
    ("field", "number"),
    [("bool_param", 1), ("int64_param", 2), ("string_param", 3), ("double_param", 4), ("uint64_param", 5)],
)
def test_parameters_are_numbered_as_in_triton(field: str, number: int) -> None:
    """A parameter's kinds have the numbers any other client uses."""
    assert m.ModelInferRequest().parameters["p"].DESCRIPTOR.fields_by_name[field].number == number
