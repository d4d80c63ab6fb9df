"""Sources that cannot be trained on fail in `index`, and splits in `validate-data`."""

import cv2
import numpy as np
import pytest

from mammo_core import steps
from mammo_core.errors import SourceError
from mammo_core.phantom import PhantomConfig, create
from tests.support.s3 import REPOSITORY
from tests.support.training_run import begin_run


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """(192, 150) uint16 mammograms of a phantom."""
    import pydicom

    root = tmp_path_factory.mktemp("phantom") / "tree"
    create(root, PhantomConfig(patients=10, seed=5, height=192, width=150), workers=1)
    mammograms = []
    for path in sorted(root.rglob("*.dcm")):
        data = pydicom.dcmread(path)
        if (data.Rows, data.Columns) == (192, 150) and data.Modality == "MG":
            pixels = data.pixel_array.astype(np.float64)
            if data.PhotometricInterpretation == "MONOCHROME1":
                pixels = pixels.max() - pixels
            if len(np.unique(pixels)) > 64:  # not a mask
                mammograms.append((pixels / pixels.max() * 65535).astype(np.uint16))
    return mammograms


def class_folders(root, pictures, counts, side=0):
    """`counts`: folder → number of patients."""
    number = 0
    for folder, count in counts.items():
        (root / folder).mkdir(parents=True)
        for _ in range(count):
            pixels = pictures[number % len(pictures)]
            if side:
                pixels = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)
            pixels = pixels.copy()
            pixels[0, 0] = number  # each file is another image
            cv2.imwrite(str(root / folder / f"P_{number:05d}_LEFT_CC.png"), pixels)
            number += 1
    return root


def begin(store, root, *settings):
    source = f"source={{adapter: folders, root: '{root}'}}"
    return begin_run(store, "r", str(REPOSITORY / "tests/e2e/recipe.yaml"), [source, *settings])


@pytest.fixture(autouse=True)
def site_key(monkeypatch):
    monkeypatch.setenv("MAMMO_SITE_KEY", "k" * 32)


def test_index_says_what_cannot_be_trained(file_store, pictures, tmp_path):
    root = class_folders(tmp_path / "t", pictures, {"neg": 5}, side=64)
    run = begin(file_store, root)
    with pytest.raises(SourceError, match="All images of the source are negative") as error:
        steps.index(run, use="training")
    for word in ("thumbnails or patches", "has no lesions", "image_training.start"):
        assert word in str(error.value)
    assert run.statuses()["index"]["state"] == "failed"
    # Its tables are there, for records that nobody will train on.
    assert steps.index(run).counts["images"] == 5


def test_class_folders_are_for_a_start_package(file_store, pictures, tmp_path):
    root = class_folders(tmp_path / "t", pictures, {"neg": 3, "pos": 3})
    with pytest.raises(SourceError, match="no lesions"):
        steps.index(begin(file_store, root), use="training")
    run = begin(file_store, root, "image_training.start=file:///models/a")
    assert steps.index(run, use="training").counts["images"] == 6


def test_a_split_without_a_class_stops_before_training(file_store, pictures, tmp_path):
    counts = {"train/neg": 3, "train/pos": 3, "val/neg": 1, "val/pos": 1, "test/neg": 2}
    root = class_folders(tmp_path / "t", pictures, counts)
    run = begin(file_store, root, "split={name: official, validation: 0}")
    tables = steps.index(run)
    images = steps.convert(run, tables=tables)
    frame = steps.publish_features(run, tables=tables, images=images)
    with pytest.raises(SourceError, match="The test split has no malignant patient") as error:
        steps.validate_data(run, images=images, frame=frame)
    assert "stratified" in str(error.value)


def test_every_pipeline_stops_at_index(file_store, pictures, tmp_path):
    from mammo_core import at_paths

    root = class_folders(tmp_path / "t", pictures, {"neg": 3, "pos": 3})
    run = begin(file_store, root)
    with pytest.raises(SystemExit):
        at_paths.index(store=file_store.uri, run_id=run.id, out=str(tmp_path / "tables"))
    assert "image_training.start" in run.statuses()["index"]["error"]
