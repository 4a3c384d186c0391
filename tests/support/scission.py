"""Measurements in the form of Scission: one model of two blocks on three platforms."""

from __future__ import annotations

from typing import Any


def _block(first: int, last: int, size: int, *seconds: float) -> dict[str, Any]:
    times = dict(zip(("pi", "box", "Big(GPU)"), seconds, strict=True))
    return {"first_layer": first, "last_layer": last, "output_bytes": size, "seconds": times}


SMALL: dict[str, Any] = {
    "source": "made up",
    "platforms": {"pi": "A Pi (device)", "box": "A box (edge)", "Big(GPU)": "A GPU (cloud)"},
    "models": {
        "net": {
            "blocks": [
                _block(0, 2, 5000, 1, 0.5, 0.1),
                _block(3, 3, 40, 2, 1, 0.2),
            ]
        }
    },
    "network_3g": {
        "pi->box": {"ping_s": 0.05, "bytes_per_s": 1e5},
        "pi->Big(GPU)": {"ping_s": 0.1, "bytes_per_s": 1e4},
        "box->Big(GPU)": {"ping_s": 0.02, "bytes_per_s": 1e6},
    },
    "input_bytes": 20000,
}
