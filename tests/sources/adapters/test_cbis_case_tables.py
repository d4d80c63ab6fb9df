import pytest

from mammo_core.errors import SourceError
from mammo_core.sources.adapters.cbis_ddsm.case_tables import (
    TABLES,
    case_table_facts,
    leaking_patients,
    read_case_tables,
)

MASS = (
    "patient_id,breast_density,left or right breast,image view,abnormality id,abnormality type,"
    "mass shape,mass margins,assessment,pathology,subtlety,image file path,"
    "cropped image file path,ROI mask file path"
)
CALC = MASS.replace("breast_density", "breast density").replace(
    "mass shape,mass margins", "calc type,calc distribution"
)


def row(key, kind, split, pathology="BENIGN", **cells):
    first = f"{kind.title()}-{'Training' if split == 'train' else 'Test'}_{key}_LEFT_CC"
    cell = {
        "density": "3", "side": "LEFT", "view": "CC", "number": "1",
        "type": "calcification" if kind == "calc" else "mass",
        "first": "ROUND", "second": "N/A", "assessment": "4", "subtlety": "0",
        "image": f"{first}/1.2/1.3/000000.dcm",
        "crop": f'"{first}_1/1.2/1.4/000001.dcm\n"',
        "mask": f"{first}_1/1.2/1.4/000000.dcm",
        **cells,
    }  # fmt: skip
    return (
        f"{key},{cell['density']},{cell['side']},{cell['view']},{cell['number']},{cell['type']},"
        f"{cell['first']},{cell['second']},{cell['assessment']},{pathology},{cell['subtlety']},"
        f"{cell['image']},{cell['crop']},{cell['mask']}"
    )


@pytest.fixture
def tables(tmp_path):
    keys = {"mass train": "P_1", "mass test": "P_2", "calc train": "P_3", "calc test": "P_1"}
    for name, (kind, split) in TABLES.items():
        header = MASS if kind == "mass" else CALC
        lines = [header, row(keys[f"{kind} {split}"], kind, split)]
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    return tmp_path


def test_both_spellings_newlines_and_na(tables):
    cases = read_case_tables(tables)
    assert cases["breast_density"].tolist() == [3] * 4
    assert cases["lesion_type"].tolist() == ["mass", "mass", "calc", "calc"]
    assert cases["official_split"].tolist() == ["train", "test", "train", "test"]
    assert cases["mass_shape"].tolist() == ["ROUND", "ROUND", "", ""]
    assert (cases["calc_distribution"] == "").all()
    assert cases["crop_path"].str.endswith(".dcm").all()
    assert leaking_patients(cases) == ["P_1"]
    assert case_table_facts(cases)["test_without_leak"] == {
        "views": 1,
        "malignant": 0,
        "patients": 1,
    }


NAME = "calc_case_description_test_set.csv"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("calc type", "kind"), [NAME, "no column 'calc type'"]),
        (lambda text: text.split("\n")[0] + "\n", [NAME, "is empty"]),
        (lambda text: "", [NAME, "cannot be parsed"]),
        (lambda text: text.replace(",4,BENIGN", ",four,BENIGN"), ["'assessment', row 1", "'four'"]),
        (lambda text: text.replace(",4,BENIGN", ",9,BENIGN"), ["'assessment', row 1", "0 to 6"]),
        (lambda text: text.replace("BENIGN", "FINE"), ["'pathology', row 1", "'FINE'"]),
        (lambda text: text.replace(",CC,", ",AT,"), ["'image view'", "CC or MLO"]),
        (lambda text: text.replace("P_1,3", ",3"), ["'patient_id'", "empty cell"]),
        (lambda text: text.replace(",calcification,", ",mass,"), ["'abnormality type'"]),
        (lambda text: text.replace("/1.2/1.3/", "/"), ["'image file path', row 1"]),
        (lambda text: text.replace("/1.2/1.3/000000", "/1.2/1.3/../000000"), ["image file path"]),
    ],
)
def test_faults_name_file_and_column(tables, change, words):
    path = tables / NAME
    path.write_text(change(path.read_text()))
    with pytest.raises(SourceError) as caught:
        read_case_tables(tables)
    for word in words:
        assert word in str(caught.value)
    assert caught.value.expected
    assert caught.value.received


def test_missing_tables(tables, tmp_path_factory):
    (tables / NAME).unlink()
    with pytest.raises(SourceError, match=f"missing.*{NAME}"):
        read_case_tables(tables)
    assert len(read_case_tables(tables, partial=True)) == 3
    for partial in (False, True):
        with pytest.raises(SourceError, match="no case table"):
            read_case_tables(tmp_path_factory.mktemp("none"), partial)


def test_a_part_may_have_tables_without_rows(tables):
    (tables / NAME).write_text(CALC + "\n")
    assert len(read_case_tables(tables, partial=True)) == 3
    for name, (kind, _) in TABLES.items():
        (tables / name).write_text((MASS if kind == "mass" else CALC) + "\n")
    with pytest.raises(SourceError, match="are empty"):
        read_case_tables(tables, partial=True)
