"""The size of the feature maps through a whole-image network, and the smallest image."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mammo_core.errors import ModelError
from mammo_core.models.config import HeadConfig
from mammo_core.models.registry import Network


@dataclass(frozen=True)
class ShapeRow:
    """The size of an image's map after one step of the network.

    Attributes:
        step: Name of the step.
        rows: Number of rows after it.
        columns: Number of columns after it.
        arithmetic: How they follow from the previous row, for rows and columns.
    """

    step: str
    rows: int
    columns: int
    arithmetic: str


@dataclass(frozen=True)
class _Step:
    """A step along one axis: how many cells it needs and how many it leaves."""

    name: str
    needs: int
    leaves: Callable[[int], int]
    arithmetic: Callable[[int], str]


def shape_table(
    network: Network, head: HeadConfig, image_shape: tuple[int, int]
) -> tuple[ShapeRow, ...]:
    """Follow an image through a network and its head.

    Args:
        network: The patch network.
        head: The head on its features.
        image_shape: `(H, W)`, pixels.

    Returns:
        A row for the image, the features and each step of the head that changes the size.

    Raises:
        ModelError: A step would have no cells left; the error shows the arithmetic up to there.
    """
    height, width = image_shape
    table = [ShapeRow("image", height, width, "")]
    for down, across in zip(_steps(network, head, 0), _steps(network, head, 1), strict=True):
        rows, columns = table[-1].rows, table[-1].columns
        if rows < down.needs or columns < across.needs:
            raise _too_small_error(network, head, image_shape, table, down, across)
        arithmetic = f"{down.arithmetic(rows)}, {across.arithmetic(columns)}"
        table.append(ShapeRow(down.name, down.leaves(rows), across.leaves(columns), arithmetic))
    return tuple(table)


def smallest_image(network: Network, head: HeadConfig) -> tuple[int, int]:
    """Return the smallest `(H, W)` that a network and its head can take, pixels."""
    height, width = (_smallest(network, head, axis) for axis in (0, 1))
    return height, width


def _steps(network: Network, head: HeadConfig, axis: int) -> Iterator[_Step]:
    yield _Step(
        "features",
        network.smallest(1),
        network.cells,
        lambda side: f"{side} at stride {network.stride} = {network.cells(side)}",
    )
    if head.heatmap is not None:
        if head.heatmap.average_pool is not None:
            size, stride = head.heatmap.average_pool[axis], head.heatmap.stride[axis]
            yield _pool("heatmap average pool", size, stride)
        if head.heatmap.max_pool is not None:
            size = head.heatmap.max_pool[axis]
            yield _pool("heatmap max pool", size, size)
    for number in range(1, len(head.depths) + 1) if head.kind != "fc" else ():
        # Strided convolutions round up, pools round down.
        if head.kind == "vgg":
            yield _pool(f"block {number}", 2, 2)
        else:
            yield _Step(
                f"block {number}",
                2,
                lambda cells: (cells + 1) // 2,
                lambda cells: f"({cells} + 1) // 2 = {(cells + 1) // 2}",
            )


def _pool(name: str, size: int, stride: int) -> _Step:
    def leaves(cells: int) -> int:
        return (cells - size) // stride + 1

    return _Step(
        name,
        size,
        leaves,
        lambda cells: f"({cells} - {size}) // {stride} + 1 = {leaves(cells)}",
    )


def _fits(network: Network, head: HeadConfig, axis: int, side: int) -> bool:
    for step in _steps(network, head, axis):
        if side < step.needs:
            return False
        side = step.leaves(side)
    return True


def _smallest(network: Network, head: HeadConfig, axis: int) -> int:
    side = 1
    while not _fits(network, head, axis, side):
        side += 1
    return side


def _too_small_error(
    network: Network,
    head: HeadConfig,
    image_shape: tuple[int, int],
    table: list[ShapeRow],
    down: _Step,
    across: _Step,
) -> ModelError:
    path = " -> ".join(
        f"{row.step} {row.rows}x{row.columns}" + (f" ({row.arithmetic})" if row.arithmetic else "")
        for row in table
    )
    height, width = smallest_image(network, head)
    smallest = (
        f"sides from {height} pixels"
        if height == width
        else f"rows from {height} and columns from {width} pixels"
    )
    unit = "pixels" if len(table) == 1 else "cells"
    return ModelError(
        f"An image of {image_shape[0]}x{image_shape[1]} is too small for {network.name} "
        f"with its {head.kind} head: {path}, and {down.name} has no room",
        expected=f"at least {down.needs}x{across.needs} {unit} before {down.name}, so {smallest}",
        received=f"{table[-1].rows}x{table[-1].columns} {unit} before {down.name}",
        hint="Use larger images, fewer blocks or smaller pools",
    )
