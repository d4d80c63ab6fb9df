"""Draw a view of a tree once, and write all its files."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mammo_core.phantom.anatomy import UNITS_PER_HEIGHT
from mammo_core.phantom.config import PhantomConfig
from mammo_core.phantom.dicom_files import FILM_HEIGHT_MM, dicom_bytes
from mammo_core.phantom.draw import draw_scene, scan_scene
from mammo_core.phantom.files import MASK, MammogramFiles, PlannedFile, RegionFiles
from mammo_core.phantom.film import to_stored
from mammo_core.phantom.looks import LOOKS
from mammo_core.phantom.marker import SCRATCH
from mammo_core.phantom.plan import ViewPlan

_CROP_MARGIN = 6.0  # around the mask, in 288ths of the image height


@dataclass(frozen=True)
class ViewFiles:
    """The files of a view in the tree.

    Args:
        files: path, size in bytes and sha256 (hexadecimal) of each file.
        drawn: Whether this run drew the view; its files existed otherwise.
    """

    files: list[tuple[str, int, str]]
    drawn: bool


def write_view(root: Path, config: PhantomConfig, mammograms: list[MammogramFiles]) -> ViewFiles:
    """Draw a view and write its files, unless all of them exist.

    Args:
        root: Folder of the tree.
        config: The phantom's parameters.
        mammograms: All mammogram files of one view.

    Returns:
        The files. Each is written under a temporary name and renamed, so it is complete.
    """
    paths = [path for mammogram in mammograms for path in mammogram.paths]
    if all((root / path).is_file() for path in paths):
        return ViewFiles([describe(root, path) for path in paths], drawn=False)
    view = mammograms[0].view
    scene = draw_scene(config, view)
    files: list[tuple[str, int, str]] = []
    for mammogram in mammograms:
        pixels = scan_scene(config, view, scene, mammogram.scan)
        stored = to_stored(pixels, view.bits_stored, view.photometric)
        image, header = mammogram.image, mammogram.header
        files.append(_write(root, config, view, image, stored, header))
        for region in mammogram.regions:
            mask = scene.masks[view.lesions.index(region.lesion)]
            crop = stored[_crop_window(mask)]
            files.append(_write(root, config, view, region.crop, crop))
            files.append(_write(root, config, view, region.mask, _mask(region, mask)))
    return ViewFiles(files, drawn=True)


def write_file(root: Path, path: str, content: bytes) -> tuple[str, int, str]:
    """Write a file under a temporary name and rename it, so that it is never incomplete.

    Args:
        root: Folder of the tree.
        path: Relative to the root, posix.
        content: The bytes of the file.

    Returns:
        path, size in bytes, sha256.
    """
    final = root / path
    temporary = root / SCRATCH / f"{os.getpid()}.part"
    temporary.write_bytes(content)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary.replace(final)
    return path, len(content), hashlib.sha256(content).hexdigest()


def describe(root: Path, path: str) -> tuple[str, int, str]:
    """Read a file of the tree and return its path, size in bytes and sha256.

    Args:
        root: Folder of the tree.
        path: Relative to the root, posix.
    """
    content = (root / path).read_bytes()
    return path, len(content), hashlib.sha256(content).hexdigest()


def _write(
    root: Path,
    config: PhantomConfig,
    view: ViewPlan,
    file: PlannedFile,
    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16],
    header: PlannedFile | None = None,
) -> tuple[str, int, str]:
    mask = file.description == MASK
    content = dicom_bytes(
        pixels,
        header or file,
        laterality=view.laterality,
        view=view.view,
        bits_stored=8 if mask else view.bits_stored,
        photometric="MONOCHROME2" if mask else view.photometric,
        spacing_mm=FILM_HEIGHT_MM / config.height,
        look=LOOKS[view.vendor],
    )
    return write_file(root, file.path, content)


def _mask(region: RegionFiles, mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    if region.mask_scale == 1.0:
        return mask
    height, width = (round(side * region.mask_scale) for side in mask.shape)
    return np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST))


def _crop_window(mask: npt.NDArray[np.uint8]) -> tuple[slice, slice]:
    left, top, width, height = cv2.boundingRect(mask)
    margin = round(_CROP_MARGIN * mask.shape[0] / UNITS_PER_HEIGHT)
    rows = slice(max(0, top - margin), min(mask.shape[0], top + height + margin))
    columns = slice(max(0, left - margin), min(mask.shape[1], left + width + margin))
    return rows, columns
