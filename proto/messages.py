"""Message classes, made at import from the compiled descriptors in a private pool.

kserve, MLServer and tritonclient each register ``inference.*`` in protobuf's default pool; a private one lets Partway
live beside any of them in one process.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_files = descriptor_pb2.FileDescriptorSet.FromString(
    resources.files("partway.proto").joinpath("descriptors.binpb").read_bytes()
)
_pool = descriptor_pool.DescriptorPool()
for _file in _files.file:
    _pool.Add(_file)


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(name))


ServerLiveRequest = _message("inference.ServerLiveRequest")
ServerLiveResponse = _message("inference.ServerLiveResponse")
ServerReadyRequest = _message("inference.ServerReadyRequest")
ServerReadyResponse = _message("inference.ServerReadyResponse")
ModelReadyRequest = _message("inference.ModelReadyRequest")
ModelReadyResponse = _message("inference.ModelReadyResponse")
ServerMetadataRequest = _message("inference.ServerMetadataRequest")
ServerMetadataResponse = _message("inference.ServerMetadataResponse")
ModelMetadataRequest = _message("inference.ModelMetadataRequest")
ModelMetadataResponse = _message("inference.ModelMetadataResponse")
ModelInferRequest = _message("inference.ModelInferRequest")
ModelInferResponse = _message("inference.ModelInferResponse")
ModelStreamInferResponse = _message("inference.ModelStreamInferResponse")

DescribeRequest = _message("partway.v1.DescribeRequest")
DescribeResponse = _message("partway.v1.DescribeResponse")
FetchRequest = _message("partway.v1.FetchRequest")
FetchChunk = _message("partway.v1.FetchChunk")
ProbeRequest = _message("partway.v1.ProbeRequest")
ProbeResponse = _message("partway.v1.ProbeResponse")
AuditRequest = _message("partway.v1.AuditRequest")
AuditResponse = _message("partway.v1.AuditResponse")

INFERENCE_SERVICE = "inference.GRPCInferenceService"
SPLIT_SERVICE = "partway.v1.Split"
