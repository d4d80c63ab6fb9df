"""Masks, boxes and outlines in the cells of a table, as mask paths (see `lesions.masks`).

Boxes come in four conventions; every one ends as x, y, width and height in whole pixels that
contain the box:

- `xywh`: left, top, width, height (COCO);
- `xyxy`: left, top, right, bottom (Pascal VOC, VinDr-Mammo);
- `yxyx`: top, left, bottom, right (EMBED);
- `yolo`: center x, center y, width, height as shares of the image, 0 to 1.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal

from mammo_core.sources.lesions.mask_shapes import outline_text
from mammo_core.sources.lesions.masks import RELATIVE_BOX

Convention = Literal["xywh", "xyxy", "yxyx", "yolo"]
Box = tuple[float, float, float, float]

#: Columns of one number each that make a box together.
NUMBERS: Final = (
    "box_xmin", "box_ymin", "box_xmax", "box_ymax", "box_width", "box_height", "box_xcenter",
    "box_ycenter",
)  # fmt: skip
_NUMBER: Final = re.compile(r"\d{1,6}(?:[.]\d+)?")
_LIST: Final = re.compile(r"[\s,;|()\[\]]+")
_LARGEST: Final = 100_000
_PATH: Final = re.compile(r"(?!.*://)(?!/)(?![A-Za-z]:)[^\\\0\n\r#]+")


def read_number(cell: str) -> float | None:
    """Return a number of a cell, with a decimal point or comma; None of an empty one.

    Args:
        cell: Any text.

    Raises:
        ValueError: It is something else.
    """
    if not cell:
        return None
    text = cell.replace(",", ".")
    if not _NUMBER.fullmatch(text):
        raise ValueError
    return float(text)


def read_boxes(cell: str) -> tuple[Box, ...]:
    """Return the boxes of a cell: four numbers each, in any brackets and with any separators.

    Args:
        cell: Any text; `1 2 3 4`, `[(1, 2, 3, 4), (5, 6, 7, 8)]`, `1,2,3,4; 5,6,7,8`.

    Raises:
        ValueError: It is no such text.
    """
    texts = [text for text in _LIST.split(cell) if text]
    if len(texts) % 4 or not all(map(_NUMBER.fullmatch, texts)):
        raise ValueError
    numbers = list(map(float, texts))
    return tuple(
        (numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3])
        for at in range(0, len(numbers), 4)
    )


def require_path(cell: str) -> str:
    """Return a path that stays inside its folder.

    Args:
        cell: Any text.

    Raises:
        ValueError: It is no such path.
    """
    if not _PATH.fullmatch(cell) or any(part in ("", ".", "..") for part in cell.split("/")):
        raise ValueError
    return cell


def read_masks(cell: str) -> tuple[str, ...]:
    """Return the paths of a cell, separated by `|`.

    Args:
        cell: Any text.

    Raises:
        ValueError: A path leads out of its folder.
    """
    return tuple(require_path(path.strip()) for path in cell.split("|")) if cell else ()


def read_outlines(cell: str) -> tuple[str, ...]:
    """Return the outlines of a cell, separated by `|`, as mask paths.

    Args:
        cell: Any text.

    Raises:
        ValueError: One is neither a circle nor a polygon.
    """
    texts = [outline_text(text.strip()) for text in cell.split("|")] if cell else []
    if None in texts:
        raise ValueError
    return tuple(text for text in texts if text is not None)


def box_path(box: Sequence[float], convention: Convention) -> str | None:
    """Return a box as a mask path; None if it has no area or is none of this convention.

    Args:
        box: Its four numbers.
        convention: What they mean.
    """
    if convention == "yolo":
        if max(box) > 1 or min(box[2], box[3]) <= 0:
            return None
        return f"{RELATIVE_BOX}{','.join(f'{number:.9g}' for number in box)}"
    left, top, right, bottom = _CORNERS[convention](*box)
    x, y = math.floor(left), math.floor(top)
    width, height = math.ceil(right) - x, math.ceil(bottom) - y
    if right <= left or bottom <= top or max(right, bottom) > _LARGEST:
        return None
    return f"box:{x},{y},{width},{height}"


_CORNERS: Final[Mapping[str, Callable[[float, float, float, float], Box]]] = MappingProxyType(
    {
        "xywh": lambda x, y, width, height: (x, y, x + width, y + height),
        "xyxy": lambda left, top, right, bottom: (left, top, right, bottom),
        "yxyx": lambda top, left, bottom, right: (left, top, right, bottom),
    }
)
#: Columns that make a box together → the convention of their numbers.
BOX_COLUMNS: Final[Mapping[tuple[str, ...], Convention]] = MappingProxyType(
    {
        ("box_xmin", "box_ymin", "box_xmax", "box_ymax"): "xyxy",
        ("box_xmin", "box_ymin", "box_width", "box_height"): "xywh",
        ("box_xcenter", "box_ycenter", "box_width", "box_height"): "yolo",
    }
)
