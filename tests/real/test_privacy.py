"""No patient data leaves a DICOM header: a tree of planted values through the data path."""

import io
import logging
import re
import traceback
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pydicom
import pytest
import yaml
from pydicom import datadict
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from mammo_core import at_paths
from mammo_core.cli.dicom import app
from mammo_core.datasets import parse
from mammo_core.dicom import read_facts, read_image
from mammo_core.errors import DicomError
from mammo_core.phantom import PhantomConfig, create
from mammo_core.store import open_store

# Free text, names, dates, identifiers. Coded words (CS), UIDs and numbers are not names.
REPRESENTATIONS = ("PN", "LO", "SH", "LT", "ST", "UT", "UC", "AE", "DA", "TM", "DT", "AS")
# Every planted value is different, so a match identifies its element.
PLANTED = re.compile(rb"ZQ[A-Z]{2}[0-9a-f]{8}QZ")
RECIPE = {
    "name": "planted",
    "command": "pytest tests/real",
    "expected_time": "seconds",
    "expected_result": "none",
    "model_name": "planted",
    "seed": 1,
    "convert": {"geometry": {"height": 96, "width": 72}},
    "max_reject_share": 0.5,
    "split": {"name": "official-without-leak", "leak": "drop_from_test", "validation": 0.3},
    "sampling": {"preset": "S10", "patch_size": 16, "lesion_patches": 2, "background_patches": 2},
    "patch_training": {
        "network": {"name": "compact", "weights": "none"},
        "stages": [{"train": "all", "learning_rate": 0.001, "epochs": 1}],
    },
    "image_training": {
        "head": {"kind": "residual", "depths": [8], "repetitions": [1], "enlarge": 2},
        "stages": [{"train": "all", "learning_rate": 0.001, "epochs": 1}],
    },
    "gate": {"min_auc": 0.0},
}
#: Codes that are read: the value of a code is kept, its meaning is free text and planted.
READ_CODES = ("ViewCodeSequence", "AnatomicRegionSequence", "AnatomicRegionModifierSequence")


def _planted(file: str, representation: str, tag: object) -> str:
    return f"ZQ{representation}{zlib.crc32(f'{file} {tag}'.encode()):08x}QZ"


def _plant(data: Dataset, file: str, *, code: bool = False) -> None:
    for element in data:
        if element.VR == "SQ":
            for item in element.value:
                _plant(item, f"{file} {element.tag}", code=element.keyword in READ_CODES)
        elif element.VR in REPRESENTATIONS and not (code and element.keyword == "CodeValue"):
            element.value = _planted(file, element.VR, element.tag)


def _plant_file(root: Path, path: Path) -> None:
    data = pydicom.dcmread(path)
    name = str(path.relative_to(root))
    # Every such element of the standard up to the pixels, except group lengths and repeating
    # groups (curves, overlays).
    for tag, (vr, multiplicity, *_) in datadict.DicomDictionary.items():
        if vr in REPRESENTATIONS and 0x00080000 < tag < 0x50000000 and multiplicity:
            data.add_new(tag, vr, _planted(name, vr, tag))
    private = data.private_block(0x0033, _planted(name, "LO", "creator"), create=True)
    private.add_new(1, "LO", _planted(name, "LO", "private"))
    _plant(data, name)
    data.file_meta.SourceApplicationEntityTitle = _planted(name, "AE", "meta")
    data.preamble = _planted(name, "LO", "preamble").encode().ljust(128, b"\0")
    data.save_as(path, enforce_file_format=True)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom with planted headers, and some files broken in several ways."""
    root = tmp_path_factory.mktemp("planted") / "tree"
    create(root, PhantomConfig(patients=8, seed=3, height=96, width=72), workers=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pydicom.config.settings, "writing_validation_mode", pydicom.config.IGNORE)
        patch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.IGNORE)
        files = sorted(root.rglob("*.dcm"))
        for path in files:
            _plant_file(root, path)
        full = [p for p in files if pydicom.dcmread(p).Modality == "MG"][:40:7]
        for number, path in enumerate(full[:4]):
            _break(path, number)
    return root


def _break(path: Path, number: int) -> None:
    data = pydicom.dcmread(path)
    if number == 0:
        path.write_bytes(path.read_bytes()[:-500])
        return
    if number == 1:
        data.PresentationIntentType = "FOR PROCESSING"
    elif number == 2:
        data.PhotometricInterpretation = "ZQCS00000000QZ"
    else:
        data.Modality = "ZQCS00000001QZ"
    data.save_as(path, enforce_file_format=True)


def _search(text: bytes, where: object) -> None:
    match = PLANTED.search(text)
    if match:
        pytest.fail(f"{match[0].decode()} in {where}", pytrace=False)


def _everything(path: Path) -> bytes:
    """Return the bytes of a file, and its content where that is compressed."""
    content = path.read_bytes()
    if content[:4] == b"PAR1":
        table = pq.read_table(io.BytesIO(content))
        frame: pd.DataFrame = table.to_pandas()
        content += frame.to_csv().encode() + str(table.schema).encode()
    if content[:2] == b"\x1f\x8b":
        content += zlib.decompress(content, 31)
    return content


def test_the_tree_is_planted(tree):
    file = next(path for path in sorted(tree.rglob("*.dcm")))
    assert len(set(PLANTED.findall(file.read_bytes()))) > 900


@pytest.mark.slow
def test_no_step_writes_or_prints_planted_values(tree, tmp_path, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    recipe = tmp_path / "recipe.yaml"
    source = {"adapter": "cbis_ddsm", "root": str(tree)}
    recipe.write_text(yaml.safe_dump({**RECIPE, "source": source}))
    store = open_store(f"file://{tmp_path}/store")

    def run(name, out, **inputs):
        getattr(at_paths, name)(
            store=store.uri, run_id="planted", recipe=str(recipe), out=str(tmp_path / out),
            **{key: str(tmp_path / value) for key, value in inputs.items()},
        )  # fmt: skip
        return parse((tmp_path / out).read_bytes(), out)

    tables = run("index", "tables")
    images = run("convert", "images", tables="tables")
    run("publish_features", "frame", tables="tables", images="images")
    patches = run("sample", "patches", tables="tables", images="images")
    assert tables.counts["rejects"] + images.counts["rejected_images"] >= 1
    assert images.counts["images"] >= 12
    assert sum(patches.counts.values()) > 0
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".parquet" for path in written)
    for path in written:
        _search(_everything(path), path)
        _search(str(path).encode(), "a file name")
    output = capfd.readouterr()
    _search((output.out + output.err).encode(), "the terminal")
    _search(caplog.text.encode(), "the log")


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_inspect_prints_no_planted_value(tree, options):
    result = CliRunner().invoke(app, ["inspect", str(tree), *options])
    assert result.exit_code == 0
    assert "For Processing" in result.output
    _search(result.output.encode(), "the output of inspect")


@pytest.mark.filterwarnings("ignore:::pydicom")
def test_no_error_of_a_damaged_file_contains_planted_values(tree, tmp_path, capfd, caplog):
    """Neither the message, which becomes a reject, nor the traceback with its causes."""
    caplog.set_level(logging.DEBUG)
    original = sorted(tree.rglob("*.dcm"))[5].read_bytes()
    path = tmp_path / "damaged.dcm"
    refused = 0
    for number in range(300):
        draw = np.random.default_rng([4, number])
        bad = bytearray(original)
        for at in draw.integers(128, len(bad), draw.integers(1, 200)):
            bad[at] = draw.integers(0, 256)
        if number % 5 == 0:
            del bad[draw.integers(0, len(bad)) :]
        path.write_bytes(bad)
        for read in (read_facts, read_image):
            try:
                read(path, "damaged.dcm", for_processing=True)
            except DicomError as error:
                refused += 1
                _search("".join(traceback.format_exception(error)).encode(), f"error {number}")
    assert refused > 100
    output = capfd.readouterr()
    _search((output.out + output.err + caplog.text).encode(), "the log or the terminal")


def test_no_error_contains_text_in_place_of_a_number(tree, tmp_path):
    """Text in place of numbers, in the fields that are read."""
    original = pydicom.dcmread(sorted(tree.rglob("*.dcm"))[5])
    planted = "ZQDS00000002QZ"
    keywords = (
        "WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept", "ImagerPixelSpacing",
        "PixelSpacing", "NumberOfFrames", "Modality", "ViewPosition", "ImageLaterality",
        "PhotometricInterpretation", "SOPClassUID", "VOILUTFunction", "PresentationIntentType",
    )  # fmt: skip
    for keyword in keywords:
        raw = io.BytesIO()
        data = Dataset()
        data.update(original)
        data.file_meta, data.preamble = original.file_meta, original.preamble
        tag = datadict.tag_for_keyword(keyword)
        data[tag] = pydicom.DataElement(tag, "LO", planted)
        pydicom.dcmwrite(raw, data, implicit_vr=False, little_endian=True)
        vr = datadict.dictionary_VR(tag).encode()
        head = int(tag).to_bytes(4, "little")[2:] + int(tag).to_bytes(4, "little")[:2]
        path = tmp_path / "a.dcm"
        path.write_bytes(raw.getvalue().replace(head + b"LO", head + vr))
        try:
            text = read_image(path, "a.dcm", voi=True).facts.model_dump_json()
        except DicomError as error:
            text = "".join(traceback.format_exception(error))
        _search(text.encode(), keyword)
