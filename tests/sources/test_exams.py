"""Exams as part of the identity of views and breasts; labels of exams; days from an anchor."""

import gzip
import unicodedata
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian

from mammo_core.datasets.outputs import make_output
from mammo_core.sources import SourceConfig, SourceFiles, index
from mammo_core.sources.adapters.table.check import check_table
from mammo_core.sources.exam_days import ExamDays
from mammo_core.sources.label_windows import LabelsConfig
from mammo_core.sources.policy import ImagePolicy
from mammo_core.sources.source_index import listing_digest, make_tables
from mammo_core.store import open_store
from tests.support.drawings import draw_breast

CASES = Path(__file__).parents[3] / "shared/cases"
STUDY = "1.2.826.0.1.3680043.8.498.55"


def write_dicom(path, seed, patient="Zz-1", study="1", view="CC", side="L", day="", **fields):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = Dataset()
    data.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    data.SOPInstanceUID = f"{STUDY}.9.{seed}"
    data.PatientID, data.StudyInstanceUID = patient, f"{STUDY}.{study}"
    if day:
        data.StudyDate = day
    data.Modality, data.ImageLaterality, data.ViewPosition = "MG", side, view
    data.Rows, data.Columns, data.SamplesPerPixel, data.PixelRepresentation = 80, 64, 1, 0
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    for name, value in fields.items():
        setattr(data, name, value)
    pixels = draw_breast(seed, 12, (80, 64))
    data.PixelData = pixels.astype("<u2").tobytes()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.save_as(path, enforce_file_format=True)


@pytest.fixture(autouse=True)
def site_key(monkeypatch):
    monkeypatch.setenv("MAMMO_SITE_KEY", "a site key of the tests")


@pytest.fixture
def table(tmp_path):
    """A function that writes a table and returns its source."""

    def source(header, *rows):
        (tmp_path / "own.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return SourceConfig(
            adapter="table", root=str(tmp_path / "images"), tables=str(tmp_path / "own.csv")
        )

    source.images = tmp_path / "images"
    return source


HEADER = "image_path,patient_id,laterality,view,label"


def views_of(tables):
    rows = tables.images.set_index("path")
    return {path: (row.exam_key, row.malignant) for path, row in rows.iterrows()}


@pytest.mark.skipif(not CASES.exists(), reason="the cases are not here")
def test_a_cancer_does_not_make_earlier_exams_malignant():
    """shared/cases/longitudinal and folders, as their README says."""
    folder = CASES / "longitudinal"
    tables = index(SourceConfig(adapter="table", root=str(folder), tables=str(folder / "own.csv")))
    breasts = tables.images.groupby(["patient_key", "exam_key", "laterality"])
    assert sorted(breasts["malignant"].max()) == [0, 0, 1]
    assert all(set(group["view"]) == {"CC", "MLO"} for _, group in breasts)
    assert all(len({path[:5] for path in group["path"]}) == 1 for _, group in breasts)
    options = {"patient_ids_in_paths": True}
    first = index(SourceConfig(adapter="folders", root=str(CASES / "folders/a"), folders=options))
    labels = dict(zip(first.images["path"], first.images["malignant"], strict=True))
    assert labels["neg/00075_20990909_L_CC_1.dcm"] == 0 and sum(labels.values()) == 1
    second = index(SourceConfig(adapter="folders", root=str(CASES / "folders/b"), folders=options))
    assert list(second.rejects["item"]) == ["neg/P_00001_LEFT_CC.dcm"]
    assert "contradicts" in second.rejects["reason"][0]


def test_an_exam_is_the_column_or_the_study_or_the_date(table):
    for number, (study, day) in enumerate(
        [("1", "20100105"), ("1", "20100105"), ("2", "20120301")]
    ):
        write_dicom(table.images / f"{number}.dcm", number, study=study, day=day)
    rows = [f"{number}.dcm,Zz-1,L,CC,{label}" for number, label in enumerate("001")]
    by_study = views_of(index(table(HEADER, *rows)))
    assert by_study["0.dcm"] == by_study["1.dcm"] != by_study["2.dcm"]
    assert by_study["2.dcm"][1] == 1 and by_study["0.dcm"][1] == 0
    columns = f"{HEADER},exam_id"
    exams = ["a", " A\u0301 ", "\u00c1"]  # the second and third are one id (NFC, trimmed)
    named = table(columns, *(f"{row},{exam}" for row, exam in zip(rows, exams, strict=True)))
    by_column = views_of(index(named))
    assert by_column["1.dcm"][0] == by_column["2.dcm"][0] != by_column["0.dcm"][0]
    for path in table.images.iterdir():
        write_dicom(path, int(path.stem), study="1")
    dated = table(
        f"{HEADER},exam_date",
        *(
            f"{row},{day}"
            for row, day in zip(rows, ["2010-01-05"] * 2 + ["2012-03-01"], strict=True)
        ),
    )
    tables = index(dated)
    assert len({exam for exam, _ in views_of(tables).values()}) == 1  # one DICOM study
    text = " ".join(table.to_csv() for table in (tables.images, tables.rejects)) + str(tables.facts)
    assert not any(word in text for word in ("2010", "2012", STUDY, "Zz-1"))


def test_images_of_one_view_with_different_labels_need_exams(table):
    import cv2

    table.images.mkdir()
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 65536, (80, 64)).astype(np.uint16)
        cv2.imwrite(str(table.images / f"{number}.png"), pixels)
    rows = ["0.png,Zz-1,L,CC,0", "1.png,Zz-1,L,CC,1", "2.png,Zz-1,L,MLO,1", "3.png,Zz-1,L,MLO,1"]
    tables = index(table(HEADER, *rows))
    assert list(tables.images["path"]) == ["2.png", "3.png"]  # they agree
    reasons = dict(zip(tables.rejects["item"], tables.rejects["reason"], strict=True))
    assert set(reasons) == {"own.csv line 2", "own.csv line 3"}
    assert "own.csv line 3" in reasons["own.csv line 2"]
    assert "own.csv line 2" in reasons["own.csv line 3"]
    check = check_table(table(HEADER, *rows), True)
    assert [problem.line for problem in check.problems] == [2, 3]
    exams = [f"{row},e{number}" for number, row in enumerate(rows)]
    assert len(index(table(f"{HEADER},exam_id", *exams)).images) == 4


def test_days_count_from_an_anchor_that_never_moves(tmp_path):
    store = open_store(str(tmp_path / "store"))
    exams = {
        ("p", "b"): date(2012, 3, 1),
        ("p", "c"): date(2014, 3, 1),
        ("q", "d"): date(2013, 1, 1),
    }
    read = []

    def assign(exams):
        def reader(exam, day):
            return lambda: read.append(exam) or day

        return ExamDays(store).assign({exam: reader(exam, day) for exam, day in exams.items()}, "k")

    assert assign(exams) == {("p", "b"): 0, ("p", "c"): 730, ("q", "d"): 0}
    read.clear()
    assert assign(exams) == {("p", "b"): 0, ("p", "c"): 730, ("q", "d"): 0}
    assert not read  # known exams are not read again
    # An older exam that is labeled later has a negative day; the first exam is gone.
    later = {("p", "a"): date(2010, 3, 1), ("p", "c"): date(2014, 3, 1)}
    assert assign(later) == {("p", "a"): -731, ("p", "c"): 730}
    assert assign({("p", "b"): date(2012, 3, 1)}) == {("p", "b"): 0}
    # Without an exam whose day is known, the anchor cannot be labeled, and does not move.
    assert assign({("p", "e"): date(2020, 1, 1)}) == {("p", "e"): None}
    assert assign({("p", "e"): date(2020, 1, 1), ("p", "a"): date(2010, 3, 1)}) == {
        ("p", "e"): 2862,
        ("p", "a"): -731,
    }
    assert assign({("r", "f"): None}) == {("r", "f"): None}
    assert ExamDays(store).assign({("p", "c"): lambda: date(2014, 3, 1)}, "other key") == {
        ("p", "c"): 0
    }


def test_an_index_keeps_days_and_no_date(table, tmp_path):
    store = open_store(str(tmp_path / "store"))
    rows = []

    def days(*exams):
        rows.clear()
        for number, (study, day) in enumerate(exams):
            write_dicom(table.images / f"{study}.dcm", number, study=study, day=day)
            rows.append(f"{study}.dcm,Zz-1,L,CC,0")
        files = SourceFiles.open(str(table.images))
        files.exam_days = ExamDays(store)
        tables = index(table(HEADER, *rows), files=files)
        return dict(zip(tables.images["path"], tables.images["exam_day"], strict=True))

    assert days(("1", "20120301"), ("2", "20140301")) == {"1.dcm": 0, "2.dcm": 730}
    assert days(("2", "20140301"), ("3", "20100301")) == {"2.dcm": 730, "3.dcm": -731}
    assert np.isnan(days(("4", "19000101"))["4.dcm"])  # a placeholder is no date
    for key in store.list(""):
        text = gzip.decompress(store.read(key)).decode()
        assert not any(word in text for word in ("2012", "2014", "2010", STUDY, "Zz-1"))


def test_a_dated_result_counts_for_the_exams_shortly_before_it(table):
    """The window of labels.window_days; outside it a label is unknown, never negative."""
    exams = {
        "1": ("20100101", "unknown", ""),  # two years before the result: unknown
        "2": ("20120110", "unknown", ""),  # 50 days before it: malignant
        "3": ("20120220", "1", "2012-02-29"),  # its own exam
        "4": ("20150101", "0", "2012-02-29"),  # after the result: unknown
        "5": ("20160101", "0", "2016-06-01"),  # a benign result in the window
        "6": ("20180101", "0", "2020-01-01"),  # a benign result outside it: unknown
        "7": ("20190101", "0", ""),  # a statement about the image
        "8": ("", "0", "2016-06-01"),  # a result without the day of its exam: unknown
    }
    rows = []
    for number, (study, (day, label, result)) in enumerate(exams.items()):
        write_dicom(table.images / f"{study}.dcm", number, study=study, day=day)
        rows.append(f"{study}.dcm,Zz-1,L,CC,{label},{result},mass,0 0 9 9")
    write_dicom(table.images / "right.dcm", 99, study="2", day="20120110", side="R")
    rows.append("right.dcm,Zz-1,R,CC,0,,,")
    source = table(f"{HEADER},pathology_date,lesion_type,lesion_box", *rows)

    def labels(window):
        tables = index(source, labels=LabelsConfig(window_days=window))
        causes = set(tables.rejects["cause"])
        assert causes <= {"unknown_label"}
        labeled = dict(zip(tables.images["path"], tables.images["malignant"], strict=True))
        left_out = dict(zip(tables.rejects["item"], tables.rejects["reason"], strict=True))
        # A lesion without a pathology of its own is what its image is.
        by_id = tables.images.set_index("image_id")["malignant"]
        assert list(tables.lesions["malignant"]) == list(tables.lesions["image_id"].map(by_id))
        assert tables.facts["left_out"].get("unknown_label", 0) == len(left_out)
        return {path.removesuffix(".dcm"): label for path, label in labeled.items()}, left_out

    labeled, left_out = labels(365)
    assert labeled == {"2": 1, "3": 1, "5": 0, "7": 0, "right": 0}
    assert set(left_out) == {"1.dcm", "4.dcm", "6.dcm", "8.dcm"}
    assert "an exam without one" in left_out["8.dcm"]
    assert "730 days after" in left_out["6.dcm"]
    assert labels(30)[0] == {"3": 1, "7": 0, "right": 0}
    unlinked = {"3": 1, "4": 0, "5": 0, "6": 0, "7": 0, "8": 0, "right": 0}
    assert labels(None)[0] == unlinked


def test_side_and_view_of_the_header_are_compared(table):
    write_dicom(table.images / "0.dcm", 0, view="XCCL")
    write_dicom(table.images / "1.dcm", 1, view="MLO", study="2")
    write_dicom(table.images / "2.dcm", 2, side="R", study="3")
    write_dicom(table.images / "3.dcm", 3, view="CV", study="4")
    rows = [f"{number}.dcm,Zz-1,L,CC,0" for number in range(4)]
    write_dicom(table.images / "4.dcm", 4, view="CC", study="5")
    tables = index(table(HEADER, *rows, "4.dcm,Zz-1,L,CC,0"))
    assert list(tables.images["path"]) == ["4.dcm"]
    rejects = {row.item: (row.cause, row.reason) for row in tables.rejects.itertuples()}
    assert rejects["own.csv line 3"][0] == rejects["own.csv line 4"][0] == ""
    assert "Expected CC" in rejects["own.csv line 3"][1]
    # The table names the class of the header's view, and its modifier makes it another image.
    assert rejects["0.dcm"] == ("view", rejects["0.dcm"][1]) and "XCCL" in rejects["0.dcm"][1]
    assert rejects["3.dcm"][0] == "modifier"
    assert tables.facts["left_out"] == {"modifier": 1, "view": 1}


def test_near_equal_ids_and_names_of_one_patient_are_reported(table, tmp_path):
    patients = ["Zz-7", "zz-7", "Zz-007", unicodedata.normalize("NFD", "Zz-\u00e9"), " Zz-\u00e9 "]
    rows = []
    for number, patient in enumerate(patients):
        write_dicom(table.images / f"{number}.dcm", number, patient="Zz-0", study=str(number))
        rows.append(f"{number}.dcm,{patient},L,CC,0")
    tables = index(table(HEADER, *rows))
    assert tables.images["patient_key"].nunique() == 4  # the last two are one
    warnings = {warning["code"]: warning["message"] for warning in tables.facts["warnings"]}
    assert "lines 2, 3, 4" in warnings["similar_ids"]
    assert "4 patients where the headers of the same files name 1" in warnings["patients"]
    assert "Zz-" not in str(warnings)
    # Twelve people whose file names hold the day of the exam: 36 names.
    root = tmp_path / "folders"
    for person in range(12):
        for visit in range(3):
            name = f"neg/{person:03d}_2010010{visit}_L_CC.dcm"
            write_dicom(root / name, 10 * person + visit, patient=f"{person:03d}")
    folders = {"patient_ids_in_paths": True}
    tables = index(SourceConfig(adapter="folders", root=str(root), folders=folders))
    (warning,) = tables.facts["warnings"]
    assert "36 patients where the headers of the same files name 12" in warning["message"]


def test_a_published_patient_has_one_exam_also_beside_others(tmp_path):
    for number, name in enumerate(("P_00001_L_CC", "P_00001_L_MLO", "Zz_L_CC")):
        view = name.split("_")[-1]
        write_dicom(tmp_path / f"neg/{name}.dcm", number, study=str(number), view=view)
    options = {"patient_ids_in_paths": True}
    images = index(SourceConfig(adapter="folders", root=str(tmp_path), folders=options)).images
    assert sorted(map(len, images["exam_key"])) == [0, 0, 20]


def test_what_the_policy_leaves_out_is_no_fault(table):
    facts = {
        "plain": {},
        "synthetic": {"ImageType": ["DERIVED", "PRIMARY", "", "GENERATED_2D"]},
        "raw": {"PresentationIntentType": "FOR PROCESSING"},
        "recombined": {"ImageType": ["DERIVED", "PRIMARY", "", "RECOMBINED"]},
        "partial": {"PartialView": "YES"},
        "burned": {"BurnedInAnnotation": "YES"},
        "chest": {"BodyPartExamined": "CHEST"},
    }
    rows = []
    for number, (name, fields) in enumerate(facts.items()):
        write_dicom(table.images / f"{name}.dcm", number, study=str(number), **fields)
        rows.append(f"{name}.dcm,Zz-1,L,CC,0,mass,0 0 9 9")
    tables = index(table(f"{HEADER},lesion_type,lesion_box", *rows))
    warnings = dict(zip(tables.images["path"], tables.images["warnings"], strict=True))
    assert set(warnings) == {"plain.dcm", "synthetic.dcm", "burned.dcm"}
    assert "image type synthetic" in warnings["synthetic.dcm"] and not warnings["plain.dcm"]
    assert len(tables.lesions) == 3
    causes = dict(zip(tables.rejects["item"], tables.rejects["cause"], strict=True))
    assert causes == {
        "raw.dcm": "for_processing",
        "recombined.dcm": "type",
        "partial.dcm": "partial",
        "chest.dcm": "body_part",
    }
    assert tables.facts["files"]["rejects"] == {}
    assert tables.facts["used"] == {"images": 3, "views": 3, "patients": 1}


def test_published_tables_count_faults_apart_from_what_is_left_out(table, tmp_path):
    store = open_store(str(tmp_path / "store"))
    write_dicom(table.images / "0.dcm", 0, day="20120301")
    write_dicom(table.images / "1.dcm", 1, view="ML")
    source = table(HEADER, "0.dcm,Zz-1,L,CC,0", "1.dcm,Zz-1,L,ML,0")
    manifest = make_output(store, "tables/of-own", lambda attempt: make_tables(attempt, source))
    assert (manifest.counts["rejects"], manifest.counts["left_out"]) == (0, 1)
    (days,) = store.list("tables/exam-days/")
    assert b"2012" not in gzip.decompress(store.read(days))
    digests = {
        listing_digest(source, source.files(), policy)
        for policy in (None, ImagePolicy(), ImagePolicy(views="accept"))
    }
    assert len(digests) == 2  # another policy is another index


def test_the_best_image_of_a_view_is_noted_in_the_table(table):
    common = {"day": "20120301"}
    write_dicom(
        table.images / "0.dcm", 0, ImageType=["DERIVED", "PRIMARY", "", "GENERATED_2D"], **common
    )
    write_dicom(table.images / "1.dcm", 1, AcquisitionTime="080000", **common)
    write_dicom(table.images / "2.dcm", 2, AcquisitionTime="090000", **common)
    write_dicom(table.images / "3.dcm", 3, study="2", **common)
    rows = [f"{number}.dcm,Zz-1,L,CC,0" for number in range(4)]
    images = index(table(HEADER, *rows)).images.set_index("path")
    assert images.loc["2.dcm", "not_chosen"] == images.loc["3.dcm", "not_chosen"] == ""
    assert "synthetic" in images.loc["0.dcm", "not_chosen"]
    assert "acquired earlier" in images.loc["1.dcm", "not_chosen"]
    assert images.loc["1.dcm", "acquisition_order"] < images.loc["2.dcm", "acquisition_order"]
