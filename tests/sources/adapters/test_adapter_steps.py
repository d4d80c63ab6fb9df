"""Every adapter through index, convert, publish_features and sample."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml

from mammo_core import at_paths
from mammo_core.datasets import parse
from mammo_core.datasets.tables import read_table
from mammo_core.phantom import PhantomConfig, create
from mammo_core.store import open_store
from tests.support import inbreast_tree

RECIPE = {
    "name": "adapters",
    "command": "pytest tests/sources",
    "expected_time": "seconds",
    "expected_result": "none",
    "model_name": "adapters",
    "seed": 1,
    "convert": {"geometry": {"height": 160, "width": 120}},
    "sampling": {"preset": "S10", "patch_size": 24, "lesion_patches": 2, "background_patches": 2},
    "patch_training": {
        "network": {"name": "compact", "weights": "none"},
        "stages": [{"train": "all", "learning_rate": 0.001, "epochs": 1}],
    },
    "image_training": {
        "head": {"kind": "residual", "depths": [8], "repetitions": [1], "enlarge": 2},
        "stages": [{"train": "all", "learning_rate": 0.001, "epochs": 1}],
        "selection": "accuracy",
    },
    "gate": {"min_auc": 0.0},
}


def write_breast(path, seed):
    """Write a bright half disc on black, so that there is background to sample.

    Its texture is its own: two of one texture would be taken for copies of one mammogram.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    pixels = np.zeros((160, 120), np.float32)
    cv2.circle(pixels, (0, 80), 76, 30000, -1)
    texture = cv2.resize(rng.normal(0, 5000, (16, 12)), (120, 160), interpolation=cv2.INTER_CUBIC)
    noise = rng.integers(0, 2000, pixels.shape)
    cv2.imwrite(str(path), np.where(pixels > 0, pixels + texture + noise, 0).astype(np.uint16))


def inbreast(root):
    inbreast_tree.build(root)
    return {"adapter": "inbreast"}, {"name": "stratified", "validation": 0.2, "test": 0.3}


def table(root):
    rows = ["image_path,patient_id,laterality,view,label,lesion_type,lesion_mask,lesion_box,split"]
    for number, split in enumerate(("train", "train", "validation", "test")):
        write_breast(root / f"i/{number}.png", number)
        rows.append(f"i/{number}.png,someone {number},L,CC,{number % 2},mass,,20 70 16 20,{split}")
    mask = np.zeros((80, 60), np.uint8)
    mask[10:20, 5:15] = 255
    cv2.imwrite(str(root / "mask.png"), mask)
    rows.append("i/1.png,someone 1,L,CC,1,calc,mask.png,,train")
    (root / "own.csv").write_text("\n".join(rows) + "\n")
    split = {"name": "official", "validation": 0.0}
    return {"adapter": "table", "tables": str(root / "own.csv")}, split


def folders(root):
    rows = ["patient_id,side,view,abn_num,pathology,type"]
    for number in range(1, 5):
        write_breast(root / f"full/P_0000{number}_LEFT_CC.png", number)
        mask = np.zeros((160, 120), np.uint8)
        mask[70:90, 20:40] = 255
        (root / "masks").mkdir(exist_ok=True)
        cv2.imwrite(str(root / f"masks/Calc-Training_P_0000{number}_LEFT_CC_1.png"), mask)
        pathology = "MALIGNANT" if number % 2 else "BENIGN"
        rows.append(f"P_0000{number},LEFT,CC,1,{pathology},calc")
    (root / "cases.csv").write_text("\n".join(rows) + "\n")
    source = {
        "adapter": "folders",
        "tables": str(root / "cases.csv"),
        "folders": {"images": "full", "masks": "masks"},
    }
    return source, {"name": "stratified"}


def vindr_mammo(root):
    create(root, PhantomConfig(layout="vindr_mammo", patients=10, height=160, width=120))
    return {"adapter": "vindr_mammo"}, {"name": "official", "validation": 0.25}


def bcdr(root):
    create(root, PhantomConfig(layout="bcdr", patients=14, height=160, width=120))
    return {"adapter": "bcdr"}, {"name": "stratified", "validation": 0.2, "test": 0.3}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("write_source", "images", "lesions"),
    [
        (inbreast, 5, 4),
        (table, 4, 5),
        (folders, 4, 4),
        (vindr_mammo, 38, 8),
        (bcdr, 18, 22),
    ],
)
def test_from_files_to_patches_and_frame(write_source, images, lesions, tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMO_SITE_KEY", "a site key of the tests")
    root = tmp_path / "tree"
    root.mkdir()
    source, split = write_source(root)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        yaml.safe_dump({**RECIPE, "source": {**source, "root": str(root)}, "split": split})
    )
    store = open_store(f"file://{tmp_path}/store")

    def run(name, out, **inputs):
        getattr(at_paths, name)(
            store=store.uri,
            run_id="adapters",
            recipe=str(recipe),
            out=str(tmp_path / out),
            **{key: str(tmp_path / value) for key, value in inputs.items()},
        )
        return parse((tmp_path / out).read_bytes(), out)

    tables = run("index", "tables")
    assert (tables.counts["images"], tables.counts["lesions"]) == (images, lesions)
    assert tables.counts["rejects"] == 0
    converted = run("convert", "images", tables="tables")
    assert (converted.counts["images"], converted.counts["lesions"]) == (images, lesions)
    assert converted.counts["rejected_images"] == converted.counts["rejected_lesions"] == 0
    frame = run("publish_features", "frame", tables="tables", images="images")
    labels = read_table(store, frame, "images.parquet")
    assert len(labels) == images and set(labels["label"]) == {0, 1}
    assert frame.facts["splits"]["train"]["images"] > 0
    patches = run("sample", "patches", tables="tables", images="images")
    assert patches.counts["lesion"] > 0 and patches.counts["background"] > 0
    if write_source is table:
        # The split is the column of the table: no patient moves.
        assert {name: frame.facts["splits"][name]["images"] for name in frame.facts["splits"]} == {
            "train": 2,
            "validation": 1,
            "test": 1,
        }
        stored = b"".join(path.read_bytes() for path in (tmp_path / "store").rglob("*.json"))
        assert b"someone" not in stored
        assert not labels.astype(str).apply(lambda c: c.str.contains("someone")).any().any()


#: Data sets without lesions of both classes: their training starts from a package.
STARTED = {
    **RECIPE,
    "convert": {"geometry": {"height": 96, "width": 72}},
    "image_training": {**RECIPE["image_training"], "start": "file://models/one"},
    "split": {"name": "stratified", "validation": 0.2, "test": 0.3},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rsna_2023", "cmmd", "embed", "csaw_cc", "mias"])
def test_published_images_reach_the_frame_with_their_labels(name, tmp_path):
    config = PhantomConfig(layout=name, patients=12, height=96, width=72, prevalence=0.5)
    create(tmp_path / "tree", config, workers=1)
    recipe = tmp_path / "recipe.yaml"
    source = {"adapter": name, "root": str(tmp_path / "tree")}
    recipe.write_text(yaml.safe_dump({**STARTED, "source": source}))
    store = open_store(f"file://{tmp_path}/store")
    for step, inputs in (
        ("index", {}),
        ("convert", {"tables": "index"}),
        ("publish_features", {"tables": "index", "images": "convert"}),
    ):
        getattr(at_paths, step)(
            store=store.uri,
            run_id="published",
            recipe=str(recipe),
            out=str(tmp_path / step),
            **{key: str(tmp_path / value) for key, value in inputs.items()},
        )
    tables, images, frame = (
        parse((tmp_path / step).read_bytes(), step)
        for step in ("index", "convert", "publish_features")
    )
    counts = json.loads((tmp_path / "tree/phantom.json").read_text())["counts"]
    left_out = tables.counts["left_out"]
    assert tables.counts["rejects"] == 0
    assert tables.counts["images"] == counts["mammograms"] - left_out == images.counts["images"]
    rows = read_table(store, frame, "images.parquet")
    assert len(rows) == tables.counts["images"] and set(rows["label"]) == {0, 1}
    indexed = read_table(store, tables, "images.parquet").set_index("image_id")
    for column in ("birads", "years_to_cancer", "site", "race", "subtype"):
        expected = indexed.loc[rows["image_id"], column].reset_index(drop=True)
        pd.testing.assert_series_equal(rows[column], expected, check_names=False)
    origins = set(indexed["label_origin"].replace("", "source"))
    assert set(rows["label_origin"]) == origins
