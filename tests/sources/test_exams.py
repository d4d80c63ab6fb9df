"""Exams as part of the identity of views and breasts; labels of exams."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from mammo_core.sources import SourceConfig, index
from mammo_core.sources.adapters.table.check import check_table
from tests.support.exam_files import HEADER, STUDY, site_key, table, write_dicom

__all__ = ["site_key", "table"]

CASES = Path(__file__).parents[3] / "shared/cases"


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
