"""The mask of a lesion: an image, contours, a box, a circle or a polygon.

A mask path is one of
- `masks/a.png`: an image file, also of 1 bit, with equal channels or a palette; every pixel
  above 0 (not black) is lesion;
- `AllXML/123.xml#0`: the first region of an INbreast contour file; `#3+7` is the convex hull
  around the regions 3 and 7, a cluster of single calcifications;
- `box:x,y,width,height`: a box in pixels of the mammogram, from the left and the top;
- `relative-box:x,y,width,height`: a box by its center and size, as shares of the mammogram;
- a circle or a polygon: see `mask_shapes`.
"""

import hashlib
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from mammo_core.dicom import read_facts, read_image
from mammo_core.documents import (
    MAXIMUM_PLIST_BYTES,
    DocumentError,
    parse_plist,
    read_bounded,
)
from mammo_core.errors import DicomError
from mammo_core.imaging import resize_mask
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.lesions.mask_shapes import CIRCLE, POLYGON, draw_outline
from mammo_core.sources.lesions.mask_warnings import mask_warnings

#: Aspect ratios this close are the same film scanned at another resolution: the mask of
#: Mass-Test_P_00145_LEFT_CC has 4386x1789 pixels, its mammogram 5041x2056.
ASPECT_TOLERANCE: Final = 0.01

Mask = np.ndarray[Any, np.dtype[np.bool_]]
Levels = np.ndarray[Any, np.dtype[Any]]
Points = np.ndarray[Any, np.dtype[np.float64]]

#: Regions of an image: INbreast has 6,880 calcifications in 299 images.
_MAXIMUM_REGIONS: Final = 5_000
_MAXIMUM_POINTS: Final = 500_000
_BOX: Final = "box:"
RELATIVE_BOX: Final = "relative-box:"
_SHAPES: Final = (_BOX, RELATIVE_BOX, CIRCLE, POLYGON)
_POINT: Final = re.compile(r"\(\s*([-+.\deE]+)\s*,\s*([-+.\deE]+)\s*\)")


@dataclass(frozen=True)
class MaskFile:
    """The mask of a lesion that fits its mammogram.

    Args:
        path: A mask path, see the module.
        sha256: Digest of the mask's file, or of the box's text, hexadecimal.
        rescaled: Whether it has another size than its mammogram, and will be rescaled.
        warnings: What is odd about it: see `mask_warnings`.
    """

    path: str
    sha256: str
    rescaled: bool
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Region:
    """A region that a radiologist drew.

    Args:
        name: The radiologist's name for it; may be empty.
        points: (n, 2) float64, column and row in pixels of the mammogram.
    """

    name: str
    points: Points


def mask_file(mask_path: str) -> str | None:
    """Return the file that contains a mask, relative to the root; None for a shape."""
    return None if mask_path.startswith(_SHAPES) else mask_path.partition("#")[0]


def mask_digest(files: SourceFiles, mask_path: str) -> str:
    """Return the SHA-256 of the file that contains a mask, or of the shape's text.

    Args:
        files: The files of the source.
        mask_path: See the module.
    """
    file = mask_file(mask_path)
    digest = files.sha256(file) if file is not None else hashlib.sha256(mask_path.encode())
    return files.content_id(digest if isinstance(digest, str) else digest.hexdigest())


def load_mask(files: SourceFiles, mask_path: str, rows: int, columns: int) -> Mask:
    """Return the mask of a lesion in the pixels of its mammogram.

    Regions of more than two points are filled polygons, others single pixels. An image of
    another size is scaled (nearest pixel) when the aspect ratios agree within 1 %.

    Args:
        files: The files of the source.
        mask_path: See the module.
        rows: Rows of the mammogram.
        columns: Columns of the mammogram.

    Returns:
        (rows, columns) bool, at least one pixel true.

    Raises:
        DicomError: The mask cannot be read, does not fit, or is empty.
        OSError: The disk failed.
    """
    mask: Mask = _read_levels(files, mask_path, rows, columns) > 0
    return mask if mask.shape == (rows, columns) else resize_mask(mask, rows, columns)


def _read_levels(files: SourceFiles, mask_path: str, rows: int, columns: int) -> Levels:
    """Return a mask of the same aspect ratio as its mammogram, in its stored size and levels."""
    if mask_path.startswith((_BOX, RELATIVE_BOX)):
        return _draw_box(_pixel_box(mask_path, rows, columns), rows, columns)
    if mask_path.startswith(_SHAPES):
        return draw_outline(mask_path, rows, columns)
    file, fragment, regions = mask_path.partition("#")
    if fragment:
        return _draw_regions(files, file, regions, rows, columns)
    with files.as_local_file(file) as path:
        return _read_image(path, file, rows, columns)


def _read_image(path: Path, file: str, rows: int, columns: int) -> Levels:
    facts = read_facts(path, file, mask=True)
    if abs(facts.rows * columns / (facts.columns * rows) - 1) > ASPECT_TOLERANCE:
        raise DicomError(
            f"The mask {file} does not fit its mammogram",
            expected=f"{rows}x{columns} pixels, or the same aspect ratio within 1 %",
            received=f"{facts.rows}x{facts.columns} pixels",
        )
    levels = read_image(path, file, mask=True).pixels
    mask = levels > 0
    if mask.all() or not mask.any():
        raise DicomError(
            f"The mask {file} shows no lesion",
            expected="pixels above 0 where the lesion is, 0 elsewhere",
            received="every pixel above 0" if mask.all() else "0 everywhere",
        )
    return levels


def check_mask(files: SourceFiles, mask_path: str, rows: int, columns: int, image: str) -> MaskFile:
    """Refuse what `load_mask` would refuse, and describe the mask.

    Args:
        files: The files of the source.
        mask_path: See the module.
        rows: Rows of the mammogram.
        columns: Columns of the mammogram.
        image: The mammogram, relative to the root.

    Raises:
        DicomError: The mask cannot be used.
        OSError: The disk failed.
    """
    levels = _read_levels(files, mask_path, rows, columns)
    return MaskFile(
        mask_path,
        mask_digest(files, mask_path),
        levels.shape != (rows, columns),
        mask_warnings(levels, lambda: read_mammogram(files, image)),
    )


def read_mammogram(files: SourceFiles, image: str) -> Levels:
    """Return the pixels of the mammogram of a mask.

    Args:
        files: The files of the source.
        image: Relative to the root.

    Returns:
        `(h, w) uint16`.

    Raises:
        DicomError: It cannot be read.
        OSError: The disk failed.
    """
    with files.as_local_file(image) as path:
        lossy = files.lossy_jpeg
        return read_image(path, image, for_processing=True, lossy_jpeg=lossy).pixels


def box_text(cell: str) -> str | None:
    """Return a box as a mask path, or None when the text is not a box.

    Args:
        cell: x, y, width and height in whole pixels, separated by commas, blanks or ';'.
    """
    numbers = re.split(r"[\s,;]+", cell.strip().strip("()[]").strip())
    if len(numbers) != 4 or not all(re.fullmatch(r"\d{1,5}", number) for number in numbers):
        return None
    x, y, width, height = map(int, numbers)
    return f"{_BOX}{x},{y},{width},{height}" if width and height else None


def _pixel_box(mask_path: str, rows: int, columns: int) -> str:
    """Return a box in whole pixels, which contain it; parts of a pixel beyond the edge are none."""
    if mask_path.startswith(_BOX):
        return mask_path
    numbers = [float(number) for number in mask_path.removeprefix(RELATIVE_BOX).split(",")]
    x, y, width, height = (n * size for n, size in zip(numbers, (columns, rows) * 2, strict=True))
    left, top = max(0, math.floor(x - width / 2 + 1e-6)), max(0, math.floor(y - height / 2 + 1e-6))
    right, bottom = math.ceil(x + width / 2 - 1e-6), math.ceil(y + height / 2 - 1e-6)
    return f"{_BOX}{left},{top},{max(1, right - left)},{max(1, bottom - top)}"


def _draw_box(mask_path: str, rows: int, columns: int) -> Mask:
    x, y, width, height = map(int, mask_path.removeprefix(_BOX).split(","))
    if x + width > columns or y + height > rows:
        raise DicomError(
            f"The {mask_path} extends beyond its mammogram",
            expected=f"x + width at most {columns}, y + height at most {rows}",
            received=f"{x + width} and {y + height}",
        )
    mask = np.zeros((rows, columns), np.bool_)
    mask[y : y + height, x : x + width] = True
    return mask


def read_regions(files: SourceFiles, file: str) -> list[Region]:
    """Read the contours of an INbreast XML file (a property list).

    Args:
        files: The files of the source.
        file: The file.

    Returns:
        The regions of its first image, in file order.

    Raises:
        DicomError: The file is missing or is not such a property list.
        OSError: The disk failed.
    """
    try:
        with files.as_local_file(file) as path:
            content = read_bounded(path, MAXIMUM_PLIST_BYTES)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _contour_error(file, "no such file") from error
    except DocumentError as error:
        raise _contour_error(file, error.received) from error
    try:
        images = parse_plist(content)["Images"]
        rois = images[0]["ROIs"] if images else []
        points = sum(len(roi["Point_px"]) for roi in rois)
        if len(rois) > _MAXIMUM_REGIONS or points > _MAXIMUM_POINTS:
            raise DocumentError(f"{len(rois)} regions with {points} points")
        return [Region(str(roi.get("Name", "")).strip(), _points(roi["Point_px"])) for roi in rois]
    except DocumentError as error:
        raise _contour_error(file, error.received) from error
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise _contour_error(file, f"one that cannot be parsed ({type(error).__name__})") from error


def _contour_error(file: str, received: str) -> DicomError:
    return DicomError(
        f"The contour file {file} cannot be read",
        expected='a property list with Images, ROIs and Point_px "(x, y)"',
        received=received,
    )


def _points(texts: list[str]) -> Points:
    matches = [_POINT.fullmatch(text.strip()) for text in texts]
    if not matches or not all(matches):
        raise ValueError("points")
    points = np.array([[float(m[1]), float(m[2])] for m in matches if m], np.float64)
    if not np.isfinite(points).all() or np.abs(points).max() > 1e6:
        raise ValueError("points")
    return points


def _draw_regions(files: SourceFiles, file: str, chosen: str, rows: int, columns: int) -> Mask:
    import cv2

    regions = read_regions(files, file)
    numbers = [int(number) for number in chosen.split("+") if number.isdigit()]
    if not numbers or max(numbers) >= len(regions):
        raise DicomError(
            f"The contour file {file} has no region #{chosen}",
            expected=f"region numbers below {len(regions)}",
            received=f"#{chosen}",
        )
    points = np.concatenate([regions[number].points for number in numbers])
    corners = np.rint(points).astype(np.int32)
    canvas = np.zeros((rows, columns), np.uint8)
    if len(numbers) > 1:
        corners = np.asarray(cv2.convexHull(corners)).reshape(-1, 2)
    if len(corners) > 2:
        cv2.fillPoly(canvas, [corners], 1)
    else:
        x, y = corners.T
        inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
        canvas[y[inside], x[inside]] = 1
    if not canvas.any():
        raise DicomError(
            f"The region #{chosen} of {file} is outside its mammogram",
            expected=f"points within {rows}x{columns} pixels",
            received="none of them",
        )
    return canvas.astype(np.bool_)
