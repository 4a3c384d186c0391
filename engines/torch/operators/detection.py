"""ONNX operators of detectors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from partway.engines.torch.operator_table import OperatorContext, Run, number, op


@op("NonMaxSuppression", host=(2, 3, 4), waits=True)
def non_max_suppression(context: OperatorContext) -> Run:
    """Boxes [batch, n, 4], scores [batch, classes, n] -> (sample, class, box) of those that stay."""
    centres = context.integer("center_point_box", 0)

    def stay(boxes: Tensor, scores: Tensor, most: Any = None, overlap: Any = None, least: Any = None) -> Tensor:
        count = 0 if most is None else int(number(most))
        above = 0.0 if overlap is None else float(number(overlap))
        floor = None if least is None else float(number(least))
        corners = _corners(boxes.to("cpu", torch.float32), bool(centres))
        found = [
            [sample, kind, box]
            for sample, kinds in enumerate(scores.to("cpu", torch.float32))
            for kind, row in enumerate(kinds)
            for box in _chosen(corners[sample], row, count, above, floor)
        ]
        return torch.tensor(found, dtype=torch.int64, device=boxes.device).reshape(-1, 3)

    return stay


def _corners(boxes: Tensor, centres: bool) -> Tensor:
    if centres:
        middle, half = boxes[..., :2], boxes[..., 2:] / 2
        return torch.cat([middle - half, middle + half], -1)
    first, second = boxes[..., :2], boxes[..., 2:]
    return torch.cat([torch.minimum(first, second), torch.maximum(first, second)], -1)


def _chosen(boxes: Tensor, scores: Tensor, count: int, above: float, floor: float | None) -> list[int]:
    order = scores.argsort(descending=True, stable=True)
    if floor is not None:
        order = order[scores[order] > floor]
    selected: list[int] = []
    while len(order) and len(selected) < count:
        best, order = order[0], order[1:]
        selected.append(int(best))
        order = order[_overlaps(boxes[best], boxes[order]) <= above]
    return selected


def _overlaps(box: Tensor, others: Tensor) -> Tensor:
    low, high = torch.maximum(box[:2], others[:, :2]), torch.minimum(box[2:], others[:, 2:])
    common = (high - low).clamp(min=0).prod(-1)
    area = (others[:, 2:] - others[:, :2]).prod(-1) + (box[2:] - box[:2]).prod()
    return torch.where(common > 0, common / (area - common), 0)
