"""Other trees of published data sets than the phantom draws: pictures, folders, screen captures."""

import csv
import shutil

import cv2
import pydicom
import pytest

from mammo_core.phantom import PhantomConfig, create
from mammo_core.sources import SourceConfig, index
from mammo_core.sources.auditing.policy import ImagePolicy

SMALL = {"patients": 6, "seed": 5, "height": 96, "width": 72}
ACCEPT_ALL = ImagePolicy(views="accept", modifiers="accept")
WHAT = ["patient_key", "laterality", "view", "view_modifiers", "malignant", "breast_density"]
#: How trees of pictures of RSNA 2023 name their files: the image, or patient and image.
NAMES = (
    "pictures/{patient}/{image}.png",
    "{image}.png",
    "{patient}_{image}.png",
    "train/{patient}@{image}.PNG",
    "{patient} - {image}.png",
    "{patient}/{patient}-{image}.png",
)


def tree_of(tmp_path_factory, layout):
    root = tmp_path_factory.mktemp(layout) / "tree"
    create(root, PhantomConfig(**SMALL, layout=layout), workers=1)
    return root


@pytest.fixture(scope="module")
def rsna(tmp_path_factory):
    return tree_of(tmp_path_factory, "rsna_2023")


@pytest.fixture(scope="module")
def cmmd(tmp_path_factory):
    return tree_of(tmp_path_factory, "cmmd")


@pytest.fixture(scope="module")
def embed(tmp_path_factory):
    return tree_of(tmp_path_factory, "embed")


def read(adapter, root, policy=ACCEPT_ALL):
    return index(SourceConfig(adapter=adapter, root=str(root)), policy=policy)


def rows(tables):
    return sorted(map(tuple, tables.images[WHAT].astype(str).to_numpy().tolist()))


def write_picture(file, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pydicom.dcmread(file).pixel_array)


@pytest.mark.parametrize("name", NAMES)
def test_pictures_of_rsna_2023_are_found_by_any_of_their_names(name, rsna, tmp_path):
    shutil.copy(rsna / "train.csv", tmp_path)
    files = sorted(rsna.rglob("*.dcm"))
    for file in files:
        write_picture(file, tmp_path / name.format(patient=file.parent.name, image=file.stem))
    pictures = read("rsna_2023", tmp_path)
    assert len(pictures.images) == len(files) and pictures.rejects.empty
    assert rows(pictures) == rows(read("rsna_2023", rsna))
    assert pictures.facts["published"]["files_without_a_row"] == 0


def test_a_dicom_file_of_rsna_2023_comes_before_its_picture(rsna, tmp_path):
    shutil.copytree(rsna, tmp_path, dirs_exist_ok=True)
    file = min(tmp_path.rglob("*.dcm"))
    write_picture(file, tmp_path / f"{file.parent.name}_{file.stem}.png")
    tables = read("rsna_2023", tmp_path)
    assert tables.images.equals(read("rsna_2023", rsna).images)


def test_a_picture_that_no_row_names_is_counted(rsna, tmp_path):
    shutil.copytree(rsna, tmp_path, dirs_exist_ok=True)
    write_picture(min(rsna.rglob("*.dcm")), tmp_path / "10006_1.png")
    tables = read("rsna_2023", tmp_path)
    assert tables.facts["published"]["files_without_a_row"] == 1
    assert len(tables.images) == len(list(rsna.rglob("*.dcm")))


def test_folders_of_cmmd_by_study_have_the_patients_of_the_headers(cmmd, tmp_path):
    (table,) = cmmd.glob("*.xlsx")
    shutil.copy(table, tmp_path)
    for file in cmmd.rglob("*.dcm"):  # CMMD/<patient>/<date>/<series>/1-n.dcm
        _, _, study, series, name = file.relative_to(cmmd).parts
        path = tmp_path / "studies" / study / series / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, path)
    by_study, by_patient = read("cmmd", tmp_path), read("cmmd", cmmd)
    assert by_study.rejects["cause"].tolist() == by_patient.rejects["cause"].tolist()
    columns = ["image_id", *WHAT, "exam_key", "lesion_types", "subtype"]
    one, other = (
        tables.images[columns].sort_values("image_id").reset_index(drop=True)
        for tables in (by_study, by_patient)
    )
    assert one.equals(other) and len(one) > 0


def test_an_image_of_cmmd_whose_patient_nobody_states_is_a_reject(cmmd, tmp_path):
    (table,) = cmmd.glob("*.xlsx")
    shutil.copy(table, tmp_path)
    first, second, *_ = sorted(cmmd.rglob("*.dcm"))
    header = pydicom.dcmread(first)
    header.PatientID = "ANONYMOUS"
    header.save_as(tmp_path / "1-1.dcm")
    shutil.copy(second, tmp_path / "1-2.dcm")
    tables = read("cmmd", tmp_path)
    faults = tables.rejects[tables.rejects["cause"] == ""]
    assert faults["item"].tolist() == ["1-1.dcm"]
    assert faults["reason"].str.contains("which patient").all()
    assert "ANONYMOUS" not in faults["reason"].str.cat()


def with_types(embed, folder, types):
    """Copy a tree of EMBED, the first rows of its metadata with other types of images."""
    shutil.copytree(embed, folder, dirs_exist_ok=True)
    (path,) = folder.rglob("EMBED_OpenData_metadata*.csv")
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        columns, cells = reader.fieldnames, list(reader)
    for row, kind in zip(cells, types, strict=False):
        row["FinalImageType"] = kind
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(cells)
    return cells


@pytest.mark.parametrize("kind", ["ROI_SSC", "ROI_SS"])
def test_screen_captures_of_embed_are_listed_and_left_out(kind, embed, tmp_path):
    before = read("embed", embed)
    cells = with_types(embed, tmp_path, [kind, kind])
    tables = read("embed", tmp_path)
    left_out = tables.rejects[tables.rejects["cause"] == "type"]
    assert len(left_out) == 2 and left_out["reason"].str.contains("Image type other").all()
    names = {row["anon_dicom_path"].rsplit("/", 1)[-1] for row in cells[:2]}
    assert {path.rsplit("/", 1)[-1] for path in left_out["item"]} == names
    assert len(tables.images) == len(before.images) - 2
    assert not set(tables.lesions["image_id"]) - set(tables.images["image_id"])
    assert tables.facts["published"]["image_types"][kind] == 2


def test_an_unknown_type_of_embed_is_a_reject(embed, tmp_path):
    with_types(embed, tmp_path, ["hologram"])
    tables = read("embed", tmp_path)
    faults = tables.rejects[tables.rejects["cause"] == ""]
    assert len(faults) == 1 and "FinalImageType" in faults["reason"].iloc[0]
