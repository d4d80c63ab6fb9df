"""Masks of every kind, what `check` says about odd ones, and shapes."""

import io

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from mammo_core.errors import DicomError
from mammo_core.sources import SourceConfig, SourceFiles, index
from mammo_core.sources.adapter import get_adapter
from mammo_core.sources.check import check_source, fact_lines
from mammo_core.sources.lesions.mask_shapes import outline_text
from mammo_core.sources.lesions.masks import load_mask

SIZE = ROWS, COLUMNS = 128, 96
LESION = np.zeros(SIZE, np.bool_)
LESION[30:50, 20:35] = True
BREAST = np.zeros(SIZE, np.uint16)
cv2.ellipse(BREAST, (0, 64), (60, 55), 0, 0, 360, 40_000, -1)
#: As written by libraries other than the one that reads them.
GRAY = LESION.astype(np.uint8) * 255
PALETTE = [0, 0, 0, 200, 0, 0, *bytes(762)]


def pillow(mode, suffix="PNG", palette=None, **options):
    file = io.BytesIO()
    picture = Image.fromarray(GRAY if mode != "P" else GRAY // 255).convert(
        mode if mode != "P" else "L"
    )
    if mode == "P":
        picture.putpalette(palette)
    picture.save(file, suffix, **options)
    return file.getvalue()


def tiff(pixels, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, metadata=None, **options)
    return file.getvalue()


COLORMAP = np.zeros((3, 256), np.uint16)
COLORMAP[1, 1] = 60_000
MASKS = {
    "PNG, 1 bit": pillow("1"),
    "PNG, RGB": pillow("RGB"),
    "PNG, RGBA": pillow("RGBA"),
    "PNG, palette": pillow("P", palette=PALETTE),
    "PNG, palette of 1 bit": pillow("P", palette=[0, 0, 0, 255, 255, 255], bits=1),
    "TIFF, 1 bit": tiff(LESION, photometric="minisblack"),
    "TIFF, 1 bit, white is zero": tiff(~LESION, photometric="miniswhite"),
    "TIFF, 1 bit, CCITT": pillow("1", "TIFF", compression="group4"),
    "TIFF, 1 bit, LZW": pillow("1", "TIFF", compression="tiff_lzw"),
    "TIFF, RGB": tiff(np.stack([GRAY] * 3, -1), photometric="rgb"),
    "TIFF, RGB, LZW": pillow("RGB", "TIFF", compression="tiff_lzw"),
    "TIFF, RGB, planes": tiff(np.stack([GRAY] * 3), photometric="rgb", planarconfig="separate"),
    "TIFF, palette": tiff(GRAY // 255, photometric="palette", colormap=COLORMAP),
    "TIFF, palette, LZW": pillow("P", "TIFF", palette=PALETTE, compression="tiff_lzw"),
    "PBM": pillow("1", "PPM"),
    "PPM": pillow("RGB", "PPM"),
}


def load(folder, content):
    (folder / "m").write_bytes(content)
    return load_mask(SourceFiles.open(str(folder)), "m", *SIZE)


@pytest.mark.parametrize("kind", MASKS)
def test_masks_of_every_kind(tmp_path, kind):
    assert np.array_equal(load(tmp_path, MASKS[kind]), LESION)


def test_color_pictures_are_no_masks(tmp_path):
    color = np.stack([GRAY, GRAY, GRAY // 2], -1)
    clear = np.stack([GRAY] * 3 + [GRAY // 2], -1)
    pictures = [cv2.imencode(".png", picture)[1].tobytes() for picture in (color, clear)]
    for content in (tiff(color, photometric="rgb"), *pictures):
        with pytest.raises(DicomError, match="not a mask"):
            load(tmp_path, content)


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Write a table of one mammogram and one lesion; return its source."""
    monkeypatch.setenv("MAMMO_SITE_KEY", "a site key of the tests")

    def write(column, cell, content=b""):
        (tmp_path / "m.png").write_bytes(content)
        cv2.imwrite(str(tmp_path / "a.png"), BREAST)
        header = f"image_path,patient_id,laterality,view,label,lesion_type,{column}"
        (tmp_path / "own.csv").write_text(f'{header}\na.png,4711,L,CC,1,mass,"{cell}"\n')
        return SourceConfig(adapter="table", root=str(tmp_path), tables=str(tmp_path / "own.csv"))

    return write


def png(mask):
    return cv2.imencode(".png", mask.astype(np.uint8))[1].tobytes()


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (GRAY, None),
        (np.where(LESION, 255, 0) + np.where(np.roll(LESION, 40, 0), 128, 0), "3 gray levels"),
        (255 - GRAY, "inverted"),
        ((BREAST > 0) * 255, "covers 100% of the breast"),
    ],
    ids=["plain", "levels", "inverted", "breast"],
)
def test_odd_masks_are_reported(table, mask, message):
    source = table("lesion_mask", "m.png", png(mask))
    facts = check_source(source, True)
    warnings = [row for row in facts["warnings"] if row["code"] == "mask"]
    assert len(warnings) == (message is not None)
    assert facts["problems"] == []
    if message:
        assert message in "\n".join(fact_lines(get_adapter("table"), facts))


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("10, 20, 5", "circle:10,20,5"),
        ("(1 2; 3 4; 5 6)", "polygon:1,2,3,4,5,6"),
        ("1 2", None),
        ("10 20 0", None),
        ("1 2 3 4", None),
        ("1 2 3 4 5", None),
        ("1 2 3 4 5 6.5", None),
        ("-1 2 3", None),
        ("1 " * 10_002, None),
    ],
)
def test_outlines(cell, text):
    assert outline_text(cell) == text


def test_outlines_are_drawn(tmp_path):
    files = SourceFiles.open(str(tmp_path))
    square = load_mask(files, "polygon:20,30,34,30,34,49,20,49", *SIZE)
    assert np.array_equal(square, LESION)  # corners belong to it
    circle = load_mask(files, "circle:40,60,10", *SIZE)
    assert circle[60, 50] and not circle[60, 51] and circle[50, 40] and not circle[49, 40]
    assert circle.sum() == 317  # the lattice points of a circle of radius 10 (OEIS A000328)
    assert load_mask(files, "circle:0,0,10", *SIZE).sum() == 90  # a quarter, with its edges
    for outside in ("circle:96,0,10", "circle:0,128,1", "polygon:1,2,96,4,5,6"):
        with pytest.raises(DicomError, match="extends beyond"):
            load_mask(files, outside, *SIZE)


@pytest.mark.parametrize("cell", ["40 60 10", "20 30 34 30 34 49"])
def test_an_outline_of_a_table(table, cell):
    source = table("lesion_outline", cell)
    assert check_source(source, True)["problems"] == []
    (lesion,) = index(source).lesions.to_dict("records")
    assert lesion["mask_path"] == outline_text(cell)


def test_a_lesion_has_one_shape(table):
    source = table("lesion_box,lesion_outline", '1 2 3 4","40 60 10')
    (problem,) = check_source(source, False)["problems"]
    assert problem["column"] == "lesion_outline"
