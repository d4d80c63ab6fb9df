"""Measures of the gray levels of a whole picture, from a few of its rows.

They are taken of the pixels that a file gives, before anything is done to them: what is inverted,
folded, too dark, noise or no breast differs in them from a mammogram (`imaging.plausibility`).
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

Pixels = np.ndarray[tuple[int, ...], np.dtype[Any]]
_Cells = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
_Mask = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
Side = Literal["left", "right", "top", "bottom", ""]

#: Cells per side of the grid, and rows that are read: all work is done on them.
_GRID: Final = 48
_ROWS: Final = 96
#: Columns from which one row for each row of cells is enough.
_WIDE: Final = 1536
#: Share of cells, the flattest ones, whose level is that of the background.
_FLATTEST: Final = 1 / 8
#: Shares of the range in use: cells of the background differ by less, tissue by more.
_SAME: Final = 0.04
_TISSUE: Final = 0.08
#: Neighbors that differ by more than this share of the range in use are a jump.
_JUMP: Final = 0.8
#: Share of the rows that jump in one column at the edge of a frame, and in one near the border.
_EDGE: Final = 0.06
_EDGE_AT_BORDER: Final = 0.015
#: Fewer jumps than this are those of bright pixels, such as a clip or a marker.
_FEWEST_JUMPS: Final = 4
#: Share of the range in use that tissue covers at least.
_LEAST_RANGE: Final = 0.05
#: Cells at each side that may be a frame or a margin of film, and that make a corner.
_MARGIN: Final = 3
#: A side of the picture belongs to the chest wall if the breast touches this much more of it.
_CHEST_MARGIN: Final = 0.2
_DIGITS: Final = 6


@dataclass(frozen=True)
class GrayMeasures:
    """Measures of a picture; levels are shares of the range that its bits declare, [0, 1].

    Args:
        low: The level that 0.1 % of the pixels do not exceed.
        median: The median level.
        bright: The level that 1 % of the pixels exceed.
        high: The level that 0.1 % of the pixels exceed.
        mean: The mean level.
        used_range: `high` minus `low`: the share of the range in use.
        steps: The range in use in stored gray levels.
        levels: Different gray levels in the rows that are read.
        background: Level of the flattest parts of the picture.
        background_share: Share of the picture that has that level.
        darkest_corner: Level of the darkest part of a corner, inside a frame of the picture.
        contrast: Level of the rest of the picture minus `background`.
        breast_share: Area of the largest connected part brighter than the background, as a share
            of the picture.
        breast_contact: Share of the side of the chest wall that this part touches.
        chest_wall: The side of the picture that this part touches most; empty if unclear.
        structure: Correlation of neighboring parts of the picture, [-1, 1]: noise has none.
        smoothness: Correlation of neighboring pixels of a row, [-1, 1].
        jumps: Share of neighbors in the tissue that differ by most of the range in use,
            as where folded gray levels wrap around.
    """

    low: float
    median: float
    bright: float
    high: float
    mean: float
    used_range: float
    steps: int
    levels: int
    background: float
    background_share: float
    darkest_corner: float
    contrast: float
    breast_share: float
    breast_contact: float
    chest_wall: Side
    structure: float
    smoothness: float
    jumps: float


def measure_gray_levels(pixels: Pixels, bits: int) -> GrayMeasures:
    """Measure the gray levels of a picture.

    Args:
        pixels: `(h, w) uint8 or uint16, [0, 2**bits - 1]`, black is 0; at least 2 by 2.
        bits: Bits of that range.
    """
    height, width = pixels.shape
    count = min(height, _ROWS if width < _WIDE else _GRID)
    sample = pixels[np.linspace(0, height - 1, count).round().astype(np.intp)]
    full = 2**bits - 1
    counts = np.bincount(sample.ravel(), minlength=full + 1)
    levels = _quantiles(counts, (0.001, 0.5, 0.99, 0.999))
    low, median, bright, high = (level / full for level in levels)
    used = max(high - low, 1 / full)
    # Whole numbers below 2**53: sums are exact, and so the same on every machine.
    values = sample.astype(np.float64)
    differences = np.zeros_like(values)
    np.abs(values[:, 1:] - values[:, :-1], out=differences[:, 1:])
    grid = _cells_of(values.shape)
    level = grid(values) / full
    inside, around = _without_frame(level), _without_frame(_steps_around(level))
    ranked = inside.ravel()[np.argsort(around, axis=None, kind="stable")]
    flattest = max(1, int(ranked.size * _FLATTEST))
    background = float(np.median(ranked[:flattest]))
    rest = float(np.median(ranked[flattest:])) if ranked.size > flattest else background
    # The range without a bright label, which may be all that a dark picture has of it.
    tissue_range = max(bright - low, _LEAST_RANGE * used)
    breast = _largest(level > background + _TISSUE * tissue_range)
    tissue = _inner(np.abs(level - background) > _TISSUE * tissue_range)
    jumps = _jumps(grid, differences > _JUMP * used * full, tissue)
    contacts = _contacts(breast)
    side = _chest_wall(contacts)
    return GrayMeasures(
        low=_round(low),
        median=_round(median),
        bright=_round(bright),
        high=_round(high),
        mean=_round(level.mean()),
        used_range=_round(high - low),
        steps=levels[3] - levels[0],
        levels=int(np.count_nonzero(counts)),
        background=_round(background),
        background_share=_round((np.abs(level - background) < _SAME * used).mean()),
        darkest_corner=_round(min(corner.min() for corner in _corners(level))),
        contrast=_round(rest - background),
        breast_share=_round(breast.mean()),
        breast_contact=_round(max(contacts.values())),
        chest_wall=side,
        structure=_round(
            min(_correlation(level[:, 1:], level[:, :-1]), _correlation(level[1:], level[:-1]))
        ),
        smoothness=_round(_smoothness(values, differences)),
        jumps=_round(jumps),
    )


def _quantiles(counts: Any, shares: tuple[float, ...]) -> list[int]:
    cumulative = np.cumsum(counts)
    return [int(np.searchsorted(cumulative, share * cumulative[-1])) for share in shares]


def _steps_around(level: _Cells) -> _Cells:
    """Return the mean difference of each cell from its neighbors, free of the noise of pixels."""
    down = np.abs(np.diff(level, axis=0, prepend=level[:1], append=level[-1:]))
    across = np.abs(np.diff(level, axis=1, prepend=level[:, :1], append=level[:, -1:]))
    steps: _Cells = down[:-1] + down[1:] + across[:, :-1] + across[:, 1:]
    return steps / 4


def _without_frame(cells: Any) -> Any:
    """Return the cells inside a frame of the picture; all of a picture of few cells."""
    return cells[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN] if min(cells.shape) > 3 * _MARGIN else cells


def _cells_of(shape: tuple[int, ...]) -> Any:
    """Return the function that averages an array in each cell."""
    starts = [np.unique(np.linspace(0, side, min(_GRID, side), endpoint=False).astype(np.intp))
              for side in shape]  # fmt: skip
    sizes = [np.diff(np.append(start, side)) for start, side in zip(starts, shape, strict=True)]
    areas = np.outer(*sizes).astype(np.float64)

    def grid(values: _Cells) -> _Cells:
        sums = np.add.reduceat(np.add.reduceat(values, starts[1], axis=1), starts[0], axis=0)
        means: _Cells = sums / areas
        return means

    return grid


def _jumps(grid: Any, jump: _Mask, tissue: _Mask) -> float:
    """Return the share of neighbors in the tissue that jump; 0 for a few of them.

    A column in which many rows jump is the edge of a frame or of a strip.
    """
    most = np.full(jump.shape[1], _EDGE)
    border = jump.shape[1] * _MARGIN // _GRID
    most[:border] = most[jump.shape[1] - border :] = _EDGE_AT_BORDER
    jump = jump & (jump.mean(axis=0) < most)
    if np.count_nonzero(jump) < _FEWEST_JUMPS or not tissue.any():
        return 0.0
    share = float(grid(jump.astype(np.float64))[tissue].mean())
    pairs = jump.size * np.count_nonzero(tissue) / tissue.size
    return share if share * pairs >= _FEWEST_JUMPS else 0.0


def _smoothness(values: _Cells, differences: _Cells) -> float:
    """Return the correlation of neighbors in rows, by their differences; 0 for one level."""
    # Not by `dot`: its threads would disturb those of the callers.
    total, squares = float(values.sum()), float(np.einsum("ij,ij->", values, values))
    spread = 2 * (squares - total * total / values.size)
    return 1 - float(np.einsum("ij,ij->", differences, differences)) / spread if spread > 0 else 0.0


def _correlation(one: _Cells, other: _Cells) -> float:
    """Return the correlation of two arrays; 0 if one of them is constant."""
    if one.size == 0:
        return 0.0
    first, second = one - one.mean(), other - other.mean()
    norm = float(np.sqrt(np.square(first).sum() * np.square(second).sum()))
    return float((first * second).sum()) / norm if norm > 0 else 0.0


def _largest(mask: _Mask) -> _Mask:
    """Return the largest 4-connected part of a mask."""
    import cv2

    count, labels, statistics, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=4
    )
    if count < 2:
        return np.zeros(mask.shape, np.bool_)
    return np.asarray(labels == 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA])))


def _inner(mask: _Mask) -> _Mask:
    """Return the cells of a mask's largest part that have no neighbor outside it."""
    padded = np.pad(_largest(mask), 1, mode="edge")
    rows = padded[:-2] & padded[1:-1] & padded[2:]
    return np.asarray(rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:])


def _corners(level: _Cells) -> list[_Cells]:
    ends = (slice(None, _MARGIN), slice(-_MARGIN, None))
    return [level[rows, columns] for rows in ends for columns in ends]


def _contacts(breast: _Mask) -> dict[Side, float]:
    """Return which share of each side the breast touches; a film may have a margin."""
    return {
        "left": float(breast[:, :_MARGIN].any(axis=1).mean()),
        "right": float(breast[:, -_MARGIN:].any(axis=1).mean()),
        "top": float(breast[:_MARGIN].any(axis=0).mean()),
        "bottom": float(breast[-_MARGIN:].any(axis=0).mean()),
    }


def _chest_wall(contacts: dict[Side, float]) -> Side:
    left, right = contacts["left"], contacts["right"]
    if abs(left - right) >= _CHEST_MARGIN:
        return "left" if left > right else "right"
    top, bottom = contacts["top"], contacts["bottom"]
    if max(left, right) < _CHEST_MARGIN <= abs(top - bottom):
        return "top" if top > bottom else "bottom"
    return ""


def _round(value: Any) -> float:
    return round(float(value), _DIGITS)
