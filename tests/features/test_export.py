"""Export datasets as folders of PNG files."""

import csv
import json

import cv2
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mammo_core.datasets import ImageRecord, Manifest, PatchRecord, publish
from mammo_core.datasets.shards import write_shard
from mammo_core.datasets.tables import put_table
from mammo_core.errors import RecipeError, RecordError
from mammo_core.features.export import export
from mammo_core.features.frame import frame_of_dataset, read_frame
from mammo_core.sampling import LabelMap

# image id: patient, laterality, view, label, split; b and c are two scans of one view.
VIEWS = {
    "a": ("P_00001", "LEFT", "CC", 1, "train"),
    "b": ("P_00002", "RIGHT", "MLO", 0, "train"),
    "c": ("P_00002", "RIGHT", "MLO", 0, "train"),
    "d": ("P_00003", "LEFT", "MLO", 1, "validation"),
    "e": ("site 4/x", "RIGHT", "CC", 0, "test"),
    "f": ("P_00009", "RIGHT", "CC", 0, ""),  # not in a split
}
# lesion id: image, class, abnormality number of the case table
LESIONS = {
    "a-calc": ("a", "calc_ben", 2),
    "a-mass": ("a", "mass_mal", 2),
    "b-mass": ("b", "mass_ben", 1),
    "d-mass": ("d", "mass_mal", None),
}
# image, lesion, kind
PATCHES = [
    ("a", "a-calc", "lesion"),
    ("a", "a-calc", "lesion"),
    ("a", "a-mass", "lesion"),
    ("a", "a-mass", "near_lesion"),
    ("a", "", "background"),
    ("a", "", "hard_negative"),
    ("b", "b-mass", "lesion"),
    ("d", "d-mass", "lesion"),
    ("e", "", "background"),
    ("f", "", "background"),
]


def _pixels(number, shape=(12, 10)):
    return np.random.default_rng(number).integers(0, 2**16, shape).astype(np.uint16)


def _patch(number, image, lesion, kind):
    name = f"{image}-{lesion}-{kind}-{number:04d}" if lesion else f"{image}-{kind}-{number:04d}"
    return PatchRecord(name, image, lesion, kind, _pixels(number), number, 7, 0.5, 0.25)


@pytest.fixture
def store(file_store):
    """A store with images, patches, their tables and a frame."""
    images = [
        ImageRecord(name, _pixels(100 + n, (80, 64)), (), 80, 64) for n, name in enumerate(VIEWS)
    ]
    patches = sorted((_patch(n, *row) for n, row in enumerate(PATCHES)), key=lambda p: p.patch_id)

    def put(kind, id, files, **more):
        manifest = Manifest(kind=kind, id=id, revision=1, config={}, files=(), **more)
        stored = tuple(file(manifest.folder) for file in files)
        return publish(file_store, manifest.model_copy(update={"files": stored}))

    def table(name, rows):
        return lambda folder: put_table(file_store, folder, name, pd.DataFrame(rows))

    def shard(index, records):
        data = [record.to_bytes() for record in records]
        return lambda folder: write_shard(file_store, folder, index, data)

    numbers = {"lesion_id": list(LESIONS), "abnormality_id": [row[2] for row in LESIONS.values()]}
    put("tables", "t", [table("lesions.parquet", numbers)])
    put(
        "datasets/images",
        "i",
        [shard(0, images[:2]), shard(1, images[2:])],
        lineage={"tables": "t"},
    )
    columns = ["patch_id", "image_id", "lesion_id", "kind"]
    rows = {name: [getattr(patch, name) for patch in patches] for name in columns}
    put(
        "datasets/patches",
        "p",
        [shard(0, patches), table("patches.parquet", rows)],
        lineage={"tables": "t", "images": "i"},
    )
    names = ["patient_key", "laterality", "view", "label", "split"]
    frame_images = {
        "image_id": list(VIEWS),
        **dict(zip(names, zip(*VIEWS.values(), strict=True), strict=True)),
    }
    frame_lesions = {
        "lesion_id": list(LESIONS),
        "image_id": [row[0] for row in LESIONS.values()],
        "patch_class": [row[1] for row in LESIONS.values()],
    }
    put(
        "frames",
        "f",
        [table("images.parquet", frame_images), table("lesions.parquet", frame_lesions)],
        facts={"mean": 1.0, "rescale_factor": 1.0, "shuffled_labels": False},
        lineage={"images": "i"},
    )
    return file_store


def _dataset(store, kind):
    from mammo_core.datasets import find

    return find(store, f"datasets/{kind}", kind[0])


def _files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def _rows(folder):
    with (folder / "index.csv").open() as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def _read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_patches_have_the_names_of_the_original(store, tmp_path):
    out = tmp_path / "out"
    result = export(store, _dataset(store, "patches"), read_frame(store, "f"), out)
    # Background is numbered after hard negatives; near-lesion patches after both.
    expected = {
        "train/calc_ben/P_00001_LEFT_CC_2_0000.png": 0,
        "train/calc_ben/P_00001_LEFT_CC_2_0001.png": 1,
        "train/mass_mal/P_00001_LEFT_CC_2_0000.png": 2,
        "train/background/P_00001_LEFT_CC_2_0000.png": 5,
        "train/background/P_00001_LEFT_CC_2_0001.png": 4,
        "train/background/P_00001_LEFT_CC_2_0002.png": 3,
        "train/mass_ben/P_00002_RIGHT_MLO_1_0000.png": 6,
        "val/mass_mal/P_00003_LEFT_MLO_1_0000.png": 7,
        "test/background/site-4-x_RIGHT_CC_0_0000.png": 8,
    }
    lists = ["index.csv", "test/pat_lst.txt", "train/pat_lst.txt", "val/pat_lst.txt"]
    assert _files(out) == sorted([*expected, *lists])
    rows = _rows(out)
    for name, number in expected.items():
        pixels = _read(out / name)
        assert pixels.dtype == np.uint16 and np.array_equal(pixels, _pixels(number))
        assert rows[name]["row"] == str(number) and rows[name]["overlap"] == "0.5"
        assert rows[name]["patch_id"].endswith(f"{number:04d}")
    assert (out / "train" / "pat_lst.txt").read_text() == "P_00001\nP_00002\n"
    assert result.left_out == 1 and sum(result.counts.values()) == len(expected)


def test_a_label_map_sets_the_classes(store, tmp_path):
    out = tmp_path / "out"
    label_map = LabelMap.model_validate("malignancy")
    result = export(store, _dataset(store, "patches"), read_frame(store, "f"), out, label_map)
    assert result.counts == {
        "test/background": 1,
        "train/background": 3,
        "train/benign": 3,
        "train/malignant": 1,
        "val/malignant": 1,
    }
    out = tmp_path / "masses"
    masses = LabelMap.model_validate("masses")
    assert (
        export(store, _dataset(store, "patches"), read_frame(store, "f"), out, masses).left_out == 3
    )


def test_images_are_in_neg_and_pos(store, tmp_path):
    out = tmp_path / "out"
    export(store, _dataset(store, "images"), read_frame(store, "f"), out)
    names = [name for name in _files(out) if name.endswith(".png")]
    assert names == [
        "test/neg/site-4-x_RIGHT_CC.png",
        "train/neg/P_00002_RIGHT_MLO.png",
        "train/neg/P_00002_RIGHT_MLO_2.png",
        "train/pos/P_00001_LEFT_CC.png",
        "val/pos/P_00003_LEFT_MLO.png",
    ]
    assert np.array_equal(_read(out / "train/pos/P_00001_LEFT_CC.png"), _pixels(100, (80, 64)))
    assert _rows(out)["train/neg/P_00002_RIGHT_MLO_2.png"]["image_id"] == "c"


def test_the_folders_adapter_reads_exported_images(store, tmp_path):
    from mammo_core.sources import SourceConfig, index

    out = tmp_path / "out"
    export(store, _dataset(store, "images"), read_frame(store, "f"), out)
    # Give the patient with another name a name of CBIS-DDSM.
    (out / "test/neg/site-4-x_RIGHT_CC.png").rename(out / "test/neg/P_00004_RIGHT_CC.png")
    (out / "test/pat_lst.txt").write_text("P_00004\n")
    tables = index(SourceConfig(adapter="folders", root=str(out)))
    assert len(tables.rejects) == 0, tables.rejects
    assert len(tables.images) == 5
    assert sorted(tables.images["patient_key"].unique()) == [
        "P_00001",
        "P_00002",
        "P_00003",
        "P_00004",
    ]


def test_a_folder_with_files_is_not_changed(store, tmp_path):
    (tmp_path / "mine").write_text("x")
    with pytest.raises(RecipeError, match="new or empty"):
        export(store, _dataset(store, "images"), read_frame(store, "f"), tmp_path)
    assert (tmp_path / "mine").read_text() == "x"


def test_a_damaged_shard_leaves_nothing(store, tmp_path):
    dataset = _dataset(store, "images")
    path = store.fetch(dataset.file("shard-00001").key)
    data = bytearray(path.read_bytes())
    data[30] ^= 1
    path.write_bytes(data)
    with pytest.raises(RecordError, match=r"datasets/images/i/shard-00001\.tfrecord is damaged"):
        export(store, dataset, read_frame(store, "f"), tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))


def test_other_outputs_are_refused(store, tmp_path):
    manifest = Manifest(kind="trainings/patch", id="x", revision=1, config={}, files=())
    with pytest.raises(RecipeError, match="trainings/patch/x cannot be exported"):
        export(store, manifest, read_frame(store, "f"), tmp_path / "out")


def test_the_only_frame_of_a_dataset_is_the_default(store):
    assert frame_of_dataset(store, _dataset(store, "patches")).id == "f"
    other = Manifest(kind="datasets/images", id="other", revision=1, config={}, files=())
    with pytest.raises(RecordError, match="no such frame"):
        frame_of_dataset(store, other)


@pytest.mark.parametrize("dataset", ["datasets/patches/p", "{store}/datasets/patches/p", "file"])
def test_the_export_command(store, tmp_path, dataset):
    from mammo_core.cli import create_app

    if dataset == "file":
        path = tmp_path / "manifest"
        path.write_text(_dataset(store, "patches").to_json())
        dataset = str(path)
    line = ["export", dataset.format(store=store.uri), str(tmp_path / "out"), "--store", store.uri]
    result = CliRunner().invoke(create_app(), [*line, "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout.splitlines()[-1])
    assert document["counts"]["train/background"] == 3 and document["frame"] == "f"


def test_the_export_command_refuses_unknown_names(store, tmp_path):
    from mammo_core.cli import create_app

    line = ["export", "datasets/patches/q", str(tmp_path / "out"), "--store", store.uri]
    result = CliRunner().invoke(create_app(), line)
    assert isinstance(result.exception, RecordError)
    assert "datasets/patches/q" in str(result.exception)
    line = [*line[:1], "datasets/patches/p", *line[2:], "--label-map", "seven"]
    assert isinstance(CliRunner().invoke(create_app(), line).exception, RecipeError)
