"""Folders and case tables laid out for the original system."""

import cv2
import numpy as np
import pytest

from mammo_core.errors import SourceError
from mammo_core.sources import SourceConfig, index
from mammo_core.sources.identity.names import ImageName, read_name


def write_image(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 65536, (96, 80)).astype(np.uint16)
    cv2.imwrite(str(path), pixels)


def write_mask(path, shape=(96, 80)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros(shape, np.uint8)
    pixels[10:30, 10:30] = 255
    pixels[9, 10:30] = 40  # the original's masks have soft edges: above 0 is lesion
    cv2.imwrite(str(path), pixels)


def config_of(root, tables=None, **options):
    return SourceConfig(
        adapter="folders",
        root=str(root),
        tables=None if tables is None else str(tables),
        folders=options,
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("P_00001_LEFT_CC.png", ("P_00001", "LEFT", "CC", 0, "")),
        ("a/b/P_00001_RIGHT_MLO_2.png", ("P_00001", "RIGHT", "MLO", 2, "")),
        ("Calc-Training_P_00005_RIGHT_CC_1.png", ("P_00005", "RIGHT", "CC", 1, "calc")),
        ("Mass-Test_P_00016_LEFT_MLO.png", ("P_00016", "LEFT", "MLO", 0, "mass")),
        ("subject_7_l_lmo.tif", ("subject_7", "LEFT", "LMO", 0, "")),
        ("subject_7_r_ccid.tif", ("subject_7", "RIGHT", "CC", 0, "", ("implant displaced",))),
        (
            "20586934_6c613a14b80a8591_MG_L_ML_ANON.dcm",  # INbreast calls the MLO view ML
            ("6c613a14b80a8591", "LEFT", "MLO", 0, ""),
        ),
        ("P_00001_LEFT_AT.png", ("P_00001", "LEFT", None, 0, "", ("axillary tail",))),
        ("P_00001_LEFT_QQ.png", None),
        ("000001.png", None),
    ],
)
def test_names(name, expected):
    image_name = read_name(name)
    assert image_name == (expected and ImageName(*expected))


@pytest.fixture
def classes(tmp_path):
    """train/val/test with neg and pos, as for image_clf_train.py."""
    write_image(tmp_path / "train/neg/P_00001_LEFT_CC.png", 1)
    write_image(tmp_path / "train/neg/deep/P_00001_LEFT_MLO.png", 2)
    write_image(tmp_path / "train/pos/P_00002_RIGHT_CC.png", 3)
    write_image(tmp_path / "val/pos/P_00003_RIGHT_CC.png", 4)
    write_image(tmp_path / "test/neg/20586908_6c613a14b80a8591_MG_R_CC_ANON.png", 5)
    return tmp_path


def test_class_folders(classes):
    tables = index(config_of(classes))
    assert tables.rejects.empty and tables.lesions.empty
    columns = ["view_id", "malignant", "official_splits"]
    assert list(map(tuple, tables.images[columns].to_numpy().tolist())) == [
        ("6c613a14b80a8591_RIGHT_CC", 0, "test"),
        ("P_00001_LEFT_CC", 0, "train"),
        ("P_00001_LEFT_MLO", 0, "train"),
        ("P_00002_RIGHT_CC", 1, "train"),
        ("P_00003_RIGHT_CC", 1, "validation"),
    ]


def test_folders_without_splits(classes):
    tables = index(config_of(classes / "train"))
    assert set(tables.images["official_splits"]) == {""}


@pytest.mark.parametrize("seeds", [(1, 1), (1, 2)], ids=["one image", "two images"])
@pytest.mark.parametrize("folder", ["pos", "mass", "cancer"])
def test_a_view_in_folders_of_two_classes_is_rejected_with_both_names(tmp_path, folder, seeds):
    names = ["train/neg/P_00001_LEFT_CC_1.png", f"train/{folder}/P_00001_LEFT_CC_2.png"]
    for name, seed in zip(names, seeds, strict=True):
        write_image(tmp_path / name, seed)
    write_image(tmp_path / "train/calc/P_00002_LEFT_CC_1.png", 3)
    write_image(tmp_path / "train/pos/mass/P_00003_LEFT_CC_1.png", 4)
    tables = index(config_of(tmp_path))
    assert list(tables.images["malignant"]) == [1, 1]
    assert list(tables.images["lesion_types"]) == ["calc", "mass"]
    reasons = dict(zip(tables.rejects["item"], tables.rejects["reason"], strict=True))
    assert set(reasons) == set(names)
    assert names[1] in reasons[names[0]] and names[0] in reasons[names[1]]


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("benign/mass", "benign and mass"),
        ("benign/malignant", "benign and malignant"),
        ("pos/x/NEG", "pos and neg"),
        ("calc/mass", "calc and mass"),
        ("train/normal/cancer", "normal and cancer"),
    ],
)
def test_a_path_with_two_classes_is_rejected_with_both_names(classes, path, named):
    write_image(classes / path / "P_00009_LEFT_CC.png", 6)
    tables = index(config_of(classes))
    (reason,) = tables.rejects["reason"]
    assert f"Received {named}." in reason and len(tables.images) == 5


def test_images_of_unknown_class_or_patient_are_rejected(classes):
    write_image(classes / "train/odd/P_00009_LEFT_CC.png", 6)
    write_image(classes / "train/pos/17.png", 7)
    (classes / "train/pos/P_00008_LEFT_CC.jpg").write_bytes(b"\xff\xd8")
    (classes / "train/pos/P_00008_LEFT_CC.png").write_bytes(b"not an image")
    (classes / "notes.txt").write_text("nothing")
    tables = index(config_of(classes))
    assert len(tables.images) == 5
    assert sorted(tables.rejects["item"]) == [
        "train/odd/P_00009_LEFT_CC.png",
        "train/pos/17.png",
        "train/pos/P_00008_LEFT_CC.jpg",
        "train/pos/P_00008_LEFT_CC.png",
    ]


def test_patches_are_refused(tmp_path):
    write_image(tmp_path / "train/background/P_00001_LEFT_CC_1_0000.png", 1)
    with pytest.raises(SourceError, match="patches, not mammograms"):
        index(config_of(tmp_path))


def test_patient_lists_in_the_folders(classes):
    (classes / "train/pat_lst.txt").write_text("P_00001\n\n")
    (classes / "val/pat_lst.txt").write_text("P_00003\nP_00099\n")
    tables = index(config_of(classes))
    assert sorted(set(tables.images["patient_key"])) == ["6c613a14b80a8591", "P_00001", "P_00003"]
    assert tables.facts["patients_of_no_list"] == 1
    (classes / "val/pat_lst.txt").write_text("P_00003\nP_00002\n")
    rejects = index(config_of(classes)).rejects
    assert list(rejects["item"]) == ["train/pos/P_00002_RIGHT_CC.png"]
    (classes / "val/pat_lst.txt").write_text("P_00001\n")
    with pytest.raises(SourceError, match="two patient lists"):
        index(config_of(classes))


def test_patient_lists_named_in_the_options(classes):
    (classes / "mine.txt").write_text("P_00001\n")
    tables = index(config_of(classes / ".", patient_lists={"train": "mine.txt"}))
    # Splits without a list keep the patients of their folders.
    assert set(tables.images["patient_key"]) == {"P_00001", "P_00003", "6c613a14b80a8591"}
    with pytest.raises(SourceError, match=r"other\.txt"):
        index(config_of(classes, patient_lists={"train": "other.txt"}))


def test_private_names_need_permission_and_a_site_key(tmp_path, monkeypatch):
    write_image(tmp_path / "neg/Ann_L_CC.png", 1)
    with pytest.raises(SourceError, match="patient_ids_in_paths") as error:
        index(config_of(tmp_path))
    assert "Ann" not in str(error.value)
    monkeypatch.setenv("MAMMO_SITE_KEY", "a site key of the tests")
    images = index(config_of(tmp_path, patient_ids_in_paths=True)).images
    assert len(images["patient_key"][0]) == 20


ORIGINAL = "patient_id,side,view,abn_num,pathology,type"
FORK = "patient_id,left or right breast,image view,abnormality id,pathology,abnormality type"


@pytest.fixture(params=["original", "fork"])
def cases(request, tmp_path):
    """A case table with its folder of mammograms and its folder of masks."""
    for seed, name in enumerate(("P_00005_RIGHT_CC", "P_00005_RIGHT_MLO", "P_00006_LEFT_CC")):
        write_image(tmp_path / f"full/{name}.png", seed)
    write_mask(tmp_path / "masks/Calc-Training_P_00005_RIGHT_CC_1.png")
    write_mask(tmp_path / "masks/Mass-Training_P_00005_RIGHT_CC_1.png", (48, 40))
    write_mask(tmp_path / "masks/Mass-Training_P_00006_LEFT_CC_1.png")
    calc = "calc" if request.param == "original" else "calcification"
    rows = [
        ORIGINAL if request.param == "original" else FORK,
        f"P_00005,RIGHT,CC,1,MALIGNANT,{calc}",
        "P_00005,RIGHT,CC,1,BENIGN,mass",
        "P_00005,RIGHT,MLO,1,BENIGN_WITHOUT_CALLBACK,mass",
        "P_00006,LEFT,CC,1,BENIGN,mass",
    ]
    table = tmp_path / "train_cases.csv"
    table.write_text("\n".join(rows) + "\n")
    return tmp_path


def test_case_tables(cases):
    config = config_of(cases, cases / "train_cases.csv", images="full", masks="masks")
    tables = index(config)
    columns = ["view_id", "malignant", "lesion_types", "official_splits"]
    assert list(map(tuple, tables.images[columns].to_numpy().tolist())) == [
        ("P_00005_RIGHT_CC", 1, "calc+mass", "train"),
        ("P_00005_RIGHT_MLO", 0, "mass", "train"),
        ("P_00006_LEFT_CC", 0, "mass", "train"),
    ]
    assert list(tables.lesions["lesion_id"]) == [
        "P_00005_RIGHT_CC_calc_1",
        "P_00005_RIGHT_CC_mass_1",
        "P_00006_LEFT_CC_mass_1",
    ]
    # The lesion without a mask.
    assert list(tables.rejects["item"]) == ["train_cases.csv line 4"]
    assert tables.facts["rows"] == 4


def test_case_tables_with_the_list_of_training_patients(cases):
    (cases / "pats.txt").write_text("P_00006\n")
    config = config_of(
        cases,
        cases / "train_cases.csv",
        images="full",
        masks="masks",
        patient_lists={"train": "pats.txt"},
    )
    assert list(index(config).images["patient_key"]) == ["P_00006"]


def test_faulty_case_tables(cases):
    table = cases / "other.csv"
    table.write_text("patient_id,side,view\n")
    with pytest.raises(SourceError, match="abn_num or abnormality id"):
        index(config_of(cases, table))
    table.write_text(
        f"{ORIGINAL}\nP_00006,LEFT,CC,1,BENIGN,mass\nP_00006,UP,CC,1,BENIGN,mass\n"
        "P_00006,LEFT,CC,x,BENIGN,mass\nP_00007,LEFT,CC,1,BENIGN,mass\n"
        "P_00006,LEFT,CC,1,UNKNOWN,mass\n"
    )
    rejects = index(config_of(cases, table, images="full", masks="masks")).rejects
    assert sorted(zip(rejects["item"], rejects["kind"], strict=True)) == [
        ("other.csv line 3", "row"),
        ("other.csv line 4", "row"),
        ("other.csv line 5", "lesion"),
        ("other.csv line 6", "row"),
        ("other.csv, a view LEFT CC", "image"),
    ]
