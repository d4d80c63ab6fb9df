"""A CSV of your data: every problem with its line, the tables, and patients without names."""

import json

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from mammo_core.cli.sources import app
from mammo_core.errors import DicomError, SourceError
from mammo_core.sources import SourceConfig, SourceFiles, index
from mammo_core.sources.adapters.table.check import check_table
from mammo_core.sources.identity.patients import patient_key
from mammo_core.sources.lesions.masks import box_text, load_mask

KEY = "a site key of the tests"
HEADER = (
    "image_path,patient_id,laterality,view,label,breast_density,lesion_type,pathology,"
    "lesion_mask,lesion_box,split"
)
VALID = [
    "i/1.png,Zz-Ann,L,CC,malignant,2,mass,malignant,m/1.png,,train",
    "i/1.png,Zz-Ann,L,CC,malignant,2,calc,benign,,10 20 30 40,train",
    "i/2.png,Zz-Ann,left,mlo,1,B,calc,,m/half.png,,train",
    "i/3.png,Zz-Bea,R,CC,negative,,,,,,test",
    '"i/4.png",Zz-Cyd,RIGHT,RCC,0,D,mass,,,,validation',
]


def write_image(path, shape=(128, 96), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 65536, shape).astype(np.uint16))


def write_mask(path, shape=(128, 96)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros(shape, np.uint8)
    pixels[shape[0] // 4 : shape[0] // 2, shape[1] // 4 : shape[1] // 2] = 255
    cv2.imwrite(str(path), pixels)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A valid table with its images and masks."""
    monkeypatch.setenv("MAMMO_SITE_KEY", KEY)
    for seed in range(1, 5):
        write_image(tmp_path / f"images/i/{seed}.png", seed=seed)
    write_mask(tmp_path / "images/m/1.png")
    write_mask(tmp_path / "images/m/half.png", (64, 48))
    write(tmp_path, VALID)
    return tmp_path


def write(folder, rows, header=HEADER):
    (folder / "own.csv").write_text("\n".join([header, *rows]) + "\n")


def config_of(folder, **options):
    return SourceConfig(
        adapter="table", root=str(folder / "images"), tables=str(folder / "own.csv"), table=options
    )


def problems_of(folder, images=False, **options):
    problems = check_table(config_of(folder, **options), images).problems
    return [(problem.line, problem.column) for problem in problems]


def test_tables_of_a_valid_file(data):
    tables = index(config_of(data))
    assert tables.rejects.empty
    ann, cyd = patient_key(KEY.encode(), "Zz-Ann"), patient_key(KEY.encode(), "Zz-Cyd")
    images = tables.images.set_index("path")
    first = images.loc["i/1.png"]
    assert first["view_id"] == f"{ann}_LEFT_CC"
    assert (first["malignant"], first["lesion_types"]) == (1, "calc+mass")
    assert (first["breast_density"], first["official_splits"]) == (2, "train")
    assert images.loc["i/4.png", "view_id"] == f"{cyd}_RIGHT_CC"
    # A lesion without a mask counts as a type of its image.
    assert images.loc["i/4.png", "lesion_types"] == "mass"
    lesions = tables.lesions.set_index("lesion_id")
    assert list(lesions.index) == sorted(
        [f"{ann}_LEFT_CC_calc_1", f"{ann}_LEFT_CC_mass_1", f"{ann}_LEFT_MLO_calc_1"]
    )
    box = lesions.loc[f"{ann}_LEFT_CC_calc_1"]
    assert (box["mask_path"], box["pathology"]) == ("box:10,20,30,40", "BENIGN")
    assert lesions.loc[f"{ann}_LEFT_MLO_calc_1", "pathology"] == "MALIGNANT"
    assert tables.facts["splits"]["train"] == {"views": 2, "malignant": 2, "patients": 1}
    assert problems_of(data, images=True) == []


def test_patient_ids_never_leave(data):
    rows = [
        *VALID,
        "Zz-Eve.png,Zz-Eve,Zz-Eve,CC,1,,,,,,train",
        "i/9.png,Zz-Ann,L,CC,Zz-Ann,,,,,,train",
        "i/4.png,Zz-Dot,R,CC,0,D,mass,,,,test",
    ]
    write(data, rows)
    tables = index(config_of(data))
    text = " ".join(t.to_csv() for t in (tables.images, tables.lesions, tables.rejects))
    text += str(tables.facts)
    command = ["check", "--source", "table", "--tables", str(data / "own.csv")]
    for more in ([], ["--json"], ["--images", str(data / "images")]):
        result = CliRunner().invoke(app, [*command, *more])
        assert result.exit_code == 1
        text += result.output
    assert "Zz-" not in text
    assert KEY not in text


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        ("/i/5.png,Q,L,CC,1,,,,,,train", ["image_path"]),
        ("../5.png,Q,L,CC,1,,,,,,train", ["image_path"]),
        ("s3://a/5.png,Q,L,CC,1,,,,,,train", ["image_path"]),
        ("C:/5.png,Q,L,CC,1,,,,,,train", ["image_path"]),
        ("i/5.png,,L,CC,1,,,,,,train", ["patient_id"]),
        ("i/5.png,Q,both,Q7,maybe,7,cyst,bad,../m,1 2 3,later", [
            "breast_density", "label", "laterality", "lesion_box", "lesion_mask", "lesion_type",
            "pathology", "split", "view",
        ]),
        ("i/5.png,Q,L,CC,1,,mass,,m/1.png,1 2 3 4,train", ["lesion_box"]),
        ("i/5.png,Q,L,CC,1,,,,m/1.png,,train", ["lesion_type"]),
        ("i/5.png,Q,L,CC,0,,mass,malignant,m/1.png,,train", ["label"]),
        ("i/5.png,Q,L,CC,1,,mass,,,1 2 0 4,train", ["lesion_box"]),
        ("i/5.png,Q,L,CC,1,,,,,", [""]),
        ("i/5.png,Q,L,CC,1,,,,,,", ["split"]),
        ("i/Q/5.png,Q,L,CC,1,,,,,,train", ["image_path"]),
        ("i/1.png,Zz-Ann,R,CC,0,2,,,,,train", ["label", "laterality"]),
        ("i/1.png,Zz-Ann,L,CC,1,2,mass,,m/1.png,,train", ["lesion_mask, lesion_box"]),
        ("i/5.png,Zz-Ann,L,CC,1,,,,,,test", ["split"]),
    ],
)  # fmt: skip
def test_each_fault_has_its_line_and_column(data, row, columns):
    write(data, [*VALID, row])
    assert problems_of(data) == [(7, column) for column in columns]


def test_paths_with_patient_ids_can_be_allowed(data):
    write(data, ["i/Ann/1.png,Ann,L,CC,1,,,,,,train"])
    assert problems_of(data) == [(2, "image_path")]
    assert problems_of(data, patient_ids_in_paths=True) == []


def test_every_problem_is_printed_before_any_work(data):
    write(data, [*VALID, "i/5.png,Q,both,CC,1,,,,,,train", "i/6.png,Q,L,RCC,1,,,,,,train"])
    command = ["check", "--source", "table", "--tables", str(data / "own.csv")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert "line 7, laterality: Expected L, R, LEFT or RIGHT. Received 4" in result.stdout
    assert "line 8, view: " in result.stdout and "2 problems" in result.stdout
    result = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert [problem["line"] for problem in result["problems"]] == [7, 8]
    assert result["views"] == 4
    write(data, VALID)
    result = CliRunner().invoke(app, [*command, "--images", str(data / "images")])
    assert result.exit_code == 0 and "no problems" in result.stdout


def test_of_very_many_problems_the_first_are_printed(data):
    write(data, [f"i/{at}.png,Q{at},both,CC,1,,,,,,train" for at in range(150)])
    command = ["check", "--source", "table", "--tables", str(data / "own.csv")]
    result = CliRunner().invoke(app, command)
    lines = result.stdout.splitlines()
    assert sum(line.startswith("line ") for line in lines) == 100
    assert "laterality: 50 more problems, which --json prints" in lines
    assert "150 problems" in lines
    document = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert len(document["problems"]) == 150


def test_images_and_masks_are_checked_too(data):
    write_image(data / "images/i/6.png", (80, 96), seed=6)
    write_image(data / "images/i/7.png", (80, 96), seed=7)
    (data / "images/i/8.png").write_bytes(b"not an image")
    write_mask(data / "images/m/wide.png", (128, 128))
    cv2.imwrite(str(data / "images/m/empty.png"), np.zeros((80, 96), np.uint8))
    write(
        data,
        [
            *VALID,
            "i/5.png,Q,L,CC,1,,,,,,train",
            "i/6.png,Q,L,CC,1,,mass,,m/empty.png,,train",
            "i/6.png,Q,L,CC,1,,mass,,,0 0 97 10,train",
            "i/7.png,Q,R,CC,1,,mass,,m/wide.png,,train",
            "i/7.png,Q,R,CC,1,,mass,,m/none.png,,train",
            "i/8.png,Q,R,MLO,1,,,,,,train",
        ],
    )
    check = check_table(config_of(data), True)
    assert [problem.line for problem in check.problems] == [7, 8, 9, 10, 11, 12]
    messages = [problem.problem for problem in check.problems]
    for text, words in zip(
        messages,
        ["missing", "no lesion", "extends beyond", "not fit", "missing", "8.png"],
        strict=True,
    ):
        assert words in text
    assert set(index(config_of(data)).rejects["item"]) == {
        f"own.csv line {line}" for line in range(7, 13)
    }


def test_one_image_for_two_patients_is_refused(data):
    (data / "images/i/5.png").write_bytes((data / "images/i/3.png").read_bytes())
    write(data, [*VALID, "i/5.png,Q,R,CC,1,,,,,,train"])
    check = check_table(config_of(data), True)
    assert [problem.line for problem in check.problems] == [5, 7]
    assert "RIGHT_CC, RIGHT_CC" in check.problems[0].problem


def test_a_wrong_row_takes_its_image_with_it(data):
    write(data, [*VALID, "i/1.png,Zz-Ann,L,CC,malignant,2,cyst,,m/1.png,,train"])
    tables = index(config_of(data))
    assert "i/1.png" not in set(tables.images["path"])
    items = dict(zip(tables.rejects["item"], tables.rejects["reason"], strict=True))
    assert set(items) == {"own.csv line 2", "own.csv line 3", "own.csv line 7"}
    assert "Line 7, of the same image" in items["own.csv line 2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("image_path,patient_id,laterality,view\n", "no column label"),
        ("Zz-Ann,i/1.png,L,CC,1\n", "no column image_path"),
        ("Zz-Ann,Zz-Ann,L,CC,1\n", "column twice"),
        ('image_path,patient_id,side,view,label\n"Zz-Ann', "line 2"),
        ("image,image_path,patient_id,side,view,label\n", "column twice"),
    ],
)
def test_files_that_are_not_tables(data, text, message):
    (data / "own.csv").write_text(text)
    with pytest.raises(SourceError, match=message) as error:
        check_table(config_of(data), False)
    assert "Zz-" not in str(error.value)


def test_spreadsheets_of_other_countries(data):
    header = "\ufeffImage;Patient;Side;View;Label;Comment\r\n"
    rows = 'i/1.png;Q;L;CC;1;"two\r\nlines"\r\ni/2.png;R;L;XX;1;\r\n'
    (data / "own.csv").write_text(header + rows, newline="")
    assert problems_of(data) == [(1, "Comment"), (4, "view")]


def test_a_table_by_its_uri(data):
    (data / "our own.csv").write_bytes((data / "own.csv").read_bytes())
    uri = (data / "our own.csv").as_uri()
    config = SourceConfig(adapter="table", root=(data / "images").as_uri(), tables=uri)
    assert len(index(config).images) == 4
    with pytest.raises(SourceError, match="no such file"):
        check_table(config.model_copy(update={"tables": str(data / "gone.csv")}), False)


def test_no_encoding_but_utf8(data):
    (data / "own.csv").write_bytes(HEADER.encode() + b"\ni/1.png,M\xfcller,L,CC,1,,,,,,\n")
    with pytest.raises(SourceError, match="line 2"):
        check_table(config_of(data), False)


def test_without_a_site_key(data, monkeypatch, tmp_path):
    monkeypatch.delenv("MAMMO_SITE_KEY")
    monkeypatch.setenv("MAMMO_SITE_KEY_FILE", str(tmp_path / "none"))
    assert problems_of(data) == []
    with pytest.raises(SourceError, match="site key"):
        index(config_of(data))


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("1,2,3,4", "box:1,2,3,4"),
        ("(1; 2; 3; 4)", "box:1,2,3,4"),
        ("1 2 3", None),
        ("-1 2 3 4", None),
        ("1.5 2 3 4", None),
        ("1 2 3 0", None),
    ],
)
def test_boxes(cell, text):
    assert box_text(cell) == text


def test_masks(data):
    files = SourceFiles.open(str(data / "images"))
    half = load_mask(files, "m/half.png", 128, 96)
    assert half.shape == (128, 96) and half.sum() == 32 * 24
    box = load_mask(files, "box:1,2,3,4", 128, 96)
    assert box.sum() == 12 and box[2:6, 1:4].all()
    with pytest.raises(DicomError, match="extends beyond"):
        load_mask(files, "box:90,0,7,1", 128, 96)


@pytest.mark.s3
def test_from_a_bucket(data, s3_environment):
    from mammo_core.store import open_store

    store = open_store("s3://mammo-tests/data-table")
    for path in sorted(path for path in data.rglob("*") if path.is_file()):
        store.put_file(path.relative_to(data).as_posix(), path)
    remote = SourceConfig(
        adapter="table", root=f"{store.uri}/images", tables=f"{store.uri}/own.csv"
    )
    fetched, local = index(remote), index(config_of(data))
    assert fetched.images.equals(local.images) and fetched.lesions.equals(local.lesions)
    assert fetched.facts == local.facts and fetched.rejects.empty


def test_a_header_with_another_side_is_a_problem(data):
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, "1.2.3"
    dataset.Modality, dataset.ImageLaterality, dataset.ViewPosition = "MG", "R", "CC"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns, dataset.BitsAllocated, dataset.BitsStored = 80, 64, 16, 12
    dataset.HighBit, dataset.PixelRepresentation, dataset.PixelData = 11, 0, bytes(80 * 64 * 2)
    dataset["PixelData"].VR = "OW"
    pydicom.dcmwrite(data / "images/i/5.dcm", dataset, enforce_file_format=True)
    write(data, [*VALID, "i/5.dcm,Q,L,CC,1,,,,,,train"])
    (problem,) = check_table(config_of(data), True).problems
    assert problem.line == 7
    assert "Expected LEFT, as in the source. Received RIGHT." in problem.problem


def test_mutated_tables_raise_nothing_else(data):
    content = (data / "own.csv").read_bytes()
    draw = np.random.default_rng(7)
    refused = 0
    for _ in range(300):
        text = bytearray(content)
        for at in draw.integers(0, len(text), 4):
            text[at] = draw.choice(np.frombuffer(b'\0\n\r",;\t\xff\x80 Z0/.', np.uint8))
        (data / "own.csv").write_bytes(text[: draw.integers(1, len(text) + 1)])
        try:
            check = check_table(config_of(data), False)
        except SourceError as error:
            refused += 1
            assert "Zz-" not in str(error)
        else:
            lines = text.count(b"\n") + text.count(b"\r") + 1
            assert all(1 <= problem.line <= lines for problem in check.problems)
            assert not any("Zz-" in problem.problem for problem in check.problems)
    assert 0 < refused < 300
