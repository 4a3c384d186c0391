"""The tables of the rate and accuracy figures, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from partway.partitioner.plan.plan import Plan

Row = dict[str, Any]
Result = dict[str, Any]
"""``name`` of the model and data, ``inputs`` in both halves together, ``rows``."""
SHARES = (0.99, 0.98)
DROP = 0.005
"""Of top-1: what may be lost where the table below says that nothing is."""


def shape(plan: Plan, k: int) -> str:
    """What crosses at a split."""
    if not k:
        return "picture"
    return " + ".join("×".join(str(size) for size in spec.shape[1:]) + f" {spec.dtype}" for spec in plan.crossing(k))


def splits(rows: Sequence[Row]) -> list[int]:
    """All that rows tell of."""
    return sorted({int(row["k"]) for row in rows})


def picture(row: Row) -> bool:
    """Of split 0, coded as a picture and not as a tensor."""
    return row["k"] == 0 and row["codec"].startswith(("u8", "png", "webp", "jpeg"))


def lossy_picture(row: Row) -> bool:
    """JPEG or WebP with a quality."""
    return picture(row) and row["codec"][-1].isdigit() and row["codec"] != "u8"


def choices(result: Result) -> str:
    """What would be chosen on the half that is known, measured on the other: both ways round in one line."""
    rows = result["rows"]
    lines = [
        f"**{result['name']}**: {result['inputs']} inputs, each coded by what was fitted to and chosen on the half"
        " it is not in.",
        "",
        "| at least | what crosses | time before | codec | bytes, mean / 95 % | equal: halves, all | top-1 | coding |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for least in SHARES:
        for k in splits(rows):
            mine = [row for row in rows if row["k"] == k and (k or picture(row))]
            both = [row for row in (chosen([r for r in mine if r["way"] == way], least) for way in (0, 1)) if row]
            if len(both) == 2:
                lines.append(f"| {least:.0%} | {mine[0]['what']} | {time(both[0])} | {_line(both)} |")
    return "\n".join(lines)


def chosen(rows: Sequence[Row], least: float) -> Row | None:
    """The smallest codec with at least this expected agreement on the half it was fitted to."""
    good = [row for row in rows if expected_agreement(row["chosen_on"]) >= least]
    return min(good, key=lambda row: float(row["chosen_on"]["bytes_mean"]), default=None)


def expected_agreement(entry: Row) -> float:
    """The expected agreement where scores are known, else the counted one."""
    return float(entry.get("agreement_expected", entry["agreement"]))


def time(row: Row) -> str:
    """Share of the model's time before the split; a second one with TFLite's builtin kernels where known."""
    builtin = row.get("share_builtin")
    return f"{row['share']:.0%}" + (f" ({builtin:.0%})" if builtin is not None and row["k"] else "")


def _line(both: Sequence[Row]) -> str:
    def mean(what: str) -> float:
        return float(np.mean([row[what] for row in both]))

    names = " / ".join(dict.fromkeys(row["codec"] for row in both))
    each = ", ".join(f"{row['agreement']:.1%}" for row in both)
    change = 100 * (mean("accuracy") - mean("accuracy_unsplit"))
    coding = (mean("encode_s") + mean("decode_s")) * 1e3
    return (
        f"{names} | {mean('bytes_mean'):,.0f} / {mean('bytes_p95'):,.0f} | {each}: {mean('agreement'):.1%} |"
        f" {mean('accuracy'):.1%} ({change:+.1f}) | {coding:.2f} ms"
    )


def reach(result: Result, least: float = 0.98) -> str:
    """The smallest per cut that keeps so many answers and top-1, of each half apart; beside it JPEG and WebP."""
    rows = result["rows"]
    lines = [
        f"**{result['name']}**: the smallest that keeps {least:.0%} of the answers and top-1 within {100 * DROP:g}"
        " points, fitted to one half, measured on the other. `s2`, rounding to even numbers, is the least loss.",
        "",
        "| measured | what crosses | time before | codec | bytes | equal | top-1 | `s2` keeps | JPEG, WebP as good |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for way, name in ((0, "second half"), (1, "first half")):
        mine = [row for row in rows if row["way"] == way]
        for k in splits(rows)[1:]:
            row = smallest([row for row in mine if row["k"] == k], least)
            if row is None:
                continue
            top = f"{row['accuracy']:.1%} ({100 * (row['accuracy'] - row['accuracy_unsplit']):+.1f})"
            finest = next((f"{r['agreement']:.1%}" for r in mine if r["k"] == k and r["codec"] == "s2"), "–")
            lines.append(
                f"| {name} | {row['what']} | {time(row)} | {row['codec']} | {row['bytes_mean']:,.0f} |"
                f" {row['agreement']:.1%} | {top} | {finest} | {rival(mine, row)} |"
            )
    return "\n".join(lines)


def smallest(rows: Sequence[Row], least: float) -> Row | None:
    """That keeps so many answers, and top-1 within DROP."""
    good = [r for r in rows if r["agreement"] >= least and r["accuracy"] >= r["accuracy_unsplit"] - DROP]
    return min(good, key=lambda row: float(row["bytes_mean"]), default=None)


def rival(rows: Sequence[Row], ours: Row) -> str:
    """The smallest JPEG or WebP that keeps as many answers as ``ours``, and top-1 within DROP."""
    found = smallest([row for row in rows if lossy_picture(row)], ours["agreement"])
    if found is None:
        best = max((row for row in rows if lossy_picture(row)), key=lambda row: (row["agreement"], -row["bytes_mean"]))
        exact = next(row for row in rows if row["codec"] == "webp-lossless")
        return (
            f"none; best {best['codec']} {best['bytes_mean']:,.0f} B {best['agreement']:.1%};"
            f" lossless {exact['bytes_mean']:,.0f} B, {exact['bytes_mean'] / ours['bytes_mean']:.1f} ×"
        )
    return f"{found['codec']} {found['bytes_mean']:,.0f} B, {found['bytes_mean'] / ours['bytes_mean']:.1f} ×"
