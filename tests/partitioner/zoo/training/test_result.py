"""What a finished run leaves: model and record."""

import hashlib
import json

from tests.support.mnist_files import no_network

from partway.partitioner.zoo.training.train import train_mnist


def test_trains_exports_and_records(torch, options):
    """Two epochs leave a checkpoint, a model and a record that agree with each other."""
    lines: list[str] = []
    record = train_mnist(options, lines.append, no_network)
    written = json.loads((options.out / "training.json").read_text())
    assert written == json.loads(json.dumps(record.to_json()))
    assert written["onnx_sha256"] == hashlib.sha256((options.out / "mnist.onnx").read_bytes()).hexdigest()
    assert written["command"] == "partway train mnist --data DIR --out DIR --seed 1 --epochs 2 --batch 32"
    assert [len(written["history"]), written["epochs"], written["test_images"]] == [2, 2, 64]
    assert (
        lines[-1] == f"Test set: average loss {record.loss:.4f}, accuracy {record.correct}/64 ({record.accuracy:.2%})"
    )
    assert [line.split(":")[0] for line in lines[:2]] == ["epoch 1/2", "epoch 2/2"]
    assert sorted(path.name for path in options.out.iterdir()) == ["checkpoint.pt", "mnist.onnx", "training.json"]
