"""Published DICOM files: NEMA WG04, D. Clunie, pydicom (shared/data/SOURCES.md)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mammo_core.cli.dicom import app
from mammo_core.dicom import read_image, require_mammogram
from mammo_core.errors import DicomError

REAL = Path(
    os.environ.get("MAMMO_REAL_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)
DICOM = REAL / "dicom"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DICOM.is_dir(), reason=f"no real data in {REAL}"),
]


def test_digitized_film():
    # Modality RG: digitized film. The facts were read with dcmdump-like tools, not our reader.
    image = read_image(DICOM / "MG1_J2KI.dcm", mammogram=True)
    assert image.pixels.shape == (4664, 3064)
    assert image.pixels.dtype == np.uint16
    assert 3000 < image.pixels.max() <= 4095
    facts = image.facts
    assert (facts.modality, facts.bits_stored) == ("RG", 12)
    assert (facts.laterality, facts.view) == ("LEFT", "MLO")


def test_digital_mammography():
    facts = read_image(DICOM / "MG_Explicit_Little.dcm", mammogram=True).facts
    assert (facts.laterality, facts.view, facts.bits_stored) == ("RIGHT", "CC", 8)
    assert (facts.spacing_mm, facts.spacing_source) == (0.25, "PixelSpacing")


EDGE = sorted((DICOM / "edge_cases").glob("*.dcm")) if DICOM.is_dir() else []


@pytest.mark.parametrize("path", EDGE, ids=lambda path: path.name)
def test_every_edge_case_is_rejected_with_a_reason(path, capfd):
    with pytest.raises(DicomError) as caught:
        image = read_image(path, path.name)
        require_mammogram(image.facts, path.name)
    assert str(caught.value).startswith(path.name)
    with pytest.raises(DicomError):
        read_image(path, mammogram=True)
    assert capfd.readouterr().err == ""


def test_the_edge_cases_are_complete():
    assert len(EDGE) == 16


FILES = sorted(path for path in DICOM.rglob("*") if path.is_file()) if DICOM.is_dir() else []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
@pytest.mark.parametrize("options", [{}, {"voi": True, "for_processing": True}], ids=str)
def test_a_file_is_read_or_rejected_with_a_dicom_error(path, options):
    name = str(path.relative_to(DICOM))
    for mammogram in (False, True):
        try:
            image = read_image(path, name, mammogram=mammogram, **options)
        except DicomError as error:
            assert str(error).startswith(f"{name} ")
            assert error.expected and error.received
        else:
            assert image.pixels.dtype == np.uint16
            assert image.pixels.max() < 2**image.facts.bits_stored


def test_inspect_prints_one_line_per_file():
    result = CliRunner().invoke(app, ["inspect", str(DICOM), "--json"])
    rows = {row["path"]: row for row in map(json.loads, result.stdout.splitlines())}
    assert set(rows) == {str(path) for path in FILES}
    for path, row in rows.items():
        assert row["readable"] == (row["reason"] is None)
        assert row["readable"] or row["reason"].startswith(path)


def test_two_codecs_give_the_same_pixels():
    lossless = read_image(DICOM / "transfer_syntaxes" / "MR4_JLSL.dcm").pixels
    assert np.array_equal(lossless, read_image(DICOM / "transfer_syntaxes" / "MR4_RLE.dcm").pixels)


def test_monochrome1_is_inverted():
    image = read_image(DICOM / "transfer_syntaxes" / "RG3_JPLL.dcm")
    assert image.facts.photometric == "MONOCHROME1"
    import pydicom

    raw = pydicom.dcmread(DICOM / "transfer_syntaxes" / "RG3_JPLL.dcm").pixel_array
    assert np.array_equal(image.pixels, 1023 - raw)


def test_nothing_is_printed():
    code = (
        "import sys; from mammo_core.dicom import read_image\n"
        "for path in sys.argv[1:]:\n"
        "    try: read_image(path)\n"
        "    except Exception: pass\n"
    )
    files = [path for path in sorted(DICOM.rglob("*.dcm")) if path.name != "MG1_J2KI.dcm"]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, files)],
        capture_output=True, text=True, check=True,
        cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("", "")
