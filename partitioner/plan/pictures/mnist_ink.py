"""Finds the ink in a picture of a digit: what differs from paper of any shade, which may be unevenly lit."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from partway.partitioner.plan.pictures.upright import has_deep_levels, levels, upright

Array = np.ndarray[Any, Any]

LARGEST_SIDE = 256
"""Larger pictures are averaged down to less than twice this before anything is looked for."""

_FAINTEST = 6.0
"""Grey levels (of 255) below which a difference is never ink."""

_NOISE_FACTOR = 4.0
_SOLID = 0.4
"""The part of the strongest ink's difference at which a pixel counts as ink when shapes are told apart."""

_SPECK = 0.08
_WITHOUT_EDGE = 0.3
"""Shapes smaller than the first part of the largest are dirt; shapes on the picture's edge are dropped when
another one is at least the second part of the largest."""

_CELLS = 64
_FIT_ROUNDS = 4


def greys(image: Image.Image) -> list[Array]:
    """The picture as grey levels 0..255, float32 [height, width], in each way its ink might show.

    Several for transparency (over black, over white) and for colours whose luminance hides a difference.
    """
    image = upright(image)
    if has_deep_levels(image):
        return [np.asarray(_smaller(Image.fromarray(levels(image))), np.float32)]
    image = _smaller(_plain(image))
    if image.has_transparency_data:
        return [grey for shade in ("black", "white") for grey in _channels(_over(image, shade))]
    return _channels(image)


def ink_of(candidates: list[Array]) -> Array | None:
    """The ink, floats 0..1 of the picture's shape, from the clearest reading; None for an empty picture."""
    readings = [reading for grey in candidates if (reading := _reading(grey)) is not None]
    if not readings:
        return None
    clear = 0.5 * max(strength for strength, _ in readings)
    return min((ink for strength, ink in readings if strength >= clear), key=lambda ink: float(ink.mean()))


def _plain(image: Image.Image) -> Image.Image:
    """Convert modes that Pillow handles badly into ones it handles well."""
    if image.mode == "LAB":
        return image.getchannel("L")
    return image.convert("LA") if image.mode == "La" else image


def _smaller(image: Image.Image) -> Image.Image:
    factor = max(image.size) // LARGEST_SIDE
    if factor < 2:
        return image
    if image.mode in ("1", "P", "PA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image.reduce(factor)


def _over(image: Image.Image, shade: str) -> Image.Image:
    picture = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, shade), picture).convert("RGB")


def _channels(image: Image.Image) -> list[Array]:
    """Luminance, and for a picture with colours each channel."""
    grey = image.convert("L")
    if image.mode in ("1", "L", "LA"):
        return [np.asarray(grey, np.float32)]
    bands = np.asarray(image.convert("RGB"), np.float32)
    coloured = float(np.ptp(bands, axis=2).max(initial=0)) > 2 * _FAINTEST
    return [np.asarray(grey, np.float32), *(bands.transpose(2, 0, 1) if coloured else ())]


def _reading(grey: Array) -> tuple[float, Array] | None:
    """(strength in grey levels, ink 0..1) of one grey picture; None when nothing stands out of its paper."""
    paper, noise = _paper(grey)
    difference = grey - paper
    count = max(4, difference.size // 500)
    ordered = np.sort(difference, axis=None)
    light, dark = float(ordered[-count:].mean()), -float(ordered[:count].mean())
    strength = max(light, dark)
    if strength < max(_FAINTEST, _NOISE_FACTOR * noise):
        return None
    ink = difference if light >= dark else -difference
    floor = max(0.12 * strength, min(3 * noise, 0.3 * strength))
    level = ((ink - floor) / (0.85 * strength - floor)).clip(0, 1)
    return strength, _main_shapes(level, ink > _SOLID * strength)


def _paper(grey: Array) -> tuple[Array, float]:
    """(what the picture would be without ink, noise as a standard deviation), both in grey levels.

    A quadratic surface, fitted to the border first and then to whatever agrees with it.
    """
    levels = grey.ravel().astype(np.float64)
    paper = _border(*grey.shape).ravel()
    paper &= np.abs(levels - np.median(levels[paper])) <= 2.5 * max(_FAINTEST, _spread(levels[paper]))
    for round_ in range(_FIT_ROUNDS):
        sample = np.flatnonzero(paper)[:: max(1, int(paper.sum()) // 4096)]
        surface = _surface(grey.shape, _fitted(sample, levels[sample], grey.shape))
        off = np.abs(levels - surface.ravel())
        near = off <= 2.5 * max(_FAINTEST / 2, _spread(off[paper]))
        paper = near & paper if round_ == 0 else near
    return surface, _spread((levels - surface.ravel())[paper])


def _spread(values: Array) -> float:
    """The standard deviation of the bulk of the values, whatever the rest does: by median deviation."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values)))) if values.size else 0.0


def _fitted(places: Array, levels: Array, shape: tuple[int, ...]) -> Array:
    """Six coefficients of the quadratic surface nearest to ``levels`` at these places (flat indices), least squares.

    By 6 x 6 normal equations, summed without BLAS: for so little work its threads cost many times what they save.
    """
    height, width = shape
    down, right = np.linspace(-1, 1, height)[places // width], np.linspace(-1, 1, width)[places % width]
    terms = np.stack([np.ones_like(down), down, right, down * right, down**2, right**2])
    sums, moments = np.einsum("ip,jp->ij", terms, terms), np.einsum("ip,p->i", terms, levels)
    return np.asarray(np.linalg.lstsq(sums, moments, rcond=None)[0])


def _surface(shape: tuple[int, ...], weights: Array) -> Array:
    """The surface with these coefficients, [height, width]."""
    height, width = shape
    down, right = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
    level, slope = weights[0] + (weights[1] + weights[4] * down) * down, weights[2] + weights[3] * down
    return np.asarray(level + (slope + weights[5] * right) * right)


def _border(height: int, width: int) -> Array:
    edge = max(1, min(height, width) // 25)
    border = np.ones((height, width), bool)
    border[edge:-edge, edge:-edge] = False
    return border


def _main_shapes(level: Array, solid: Array) -> Array:
    """The level without dirt: only around connected shapes large enough to belong to a digit."""
    height, width = solid.shape
    cell = -(-max(height, width) // _CELLS)
    padded = np.pad(solid, ((0, -height % cell), (0, -width % cell)))
    cells = padded.reshape(padded.shape[0] // cell, cell, padded.shape[1] // cell, cell)
    near_digit = np.zeros((cells.shape[0] + 2, cells.shape[2] + 2), bool)
    digit = _digit_cells(cells.sum(axis=(1, 3)))
    for down in range(3):
        for right in range(3):
            near_digit[down : down + digit.shape[0], right : right + digit.shape[1]] |= digit
    mask = near_digit[1:-1, 1:-1].repeat(cell, axis=0).repeat(cell, axis=1)
    return np.where(mask[:height, :width], level, 0).astype(np.float32)


def _digit_cells(areas: Array) -> Array:
    """Which cells of a grid of ink areas belong to the shapes of the digit; bool, of the grid's size."""
    labels = _labelled(areas > 0)
    sizes = np.bincount(labels.ravel(), weights=areas.ravel())
    at_edge = np.zeros(len(sizes), bool)
    at_edge[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = True
    sizes[0] = 0
    inside = np.where(at_edge, 0, sizes)
    if inside.max() >= _WITHOUT_EDGE * sizes.max():
        sizes = inside
    return np.asarray(((sizes > 0) & (sizes >= _SPECK * sizes.max()))[labels])


def _labelled(inked: Array) -> Array:
    """A number for each shape of a grid, cells that touch at corners included; 0 where there is no ink.

    It joins the runs of each row with the runs above that they touch (union-find).
    """
    edges = np.diff(np.pad(inked, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = (indices.tolist() for indices in np.nonzero(edges == 1))
    ends = np.nonzero(edges == -1)[1].tolist()
    parents = list(range(len(rows)))

    def root(run: int) -> int:
        while parents[run] != run:
            parents[run] = run = parents[parents[run]]
        return run

    above = 0
    for run, row in enumerate(rows):
        while rows[above] < row - 1 or (rows[above] == row - 1 and ends[above] < starts[run]):
            above += 1
        other = above
        while rows[other] == row - 1 and starts[other] <= ends[run]:
            parents[root(run)] = root(other)
            other += 1
    labels = np.zeros(inked.shape, np.intp)
    numbers: dict[int, int] = {}
    for run, row in enumerate(rows):
        labels[row, starts[run] : ends[run]] = numbers.setdefault(root(run), len(numbers) + 1)
    return labels
