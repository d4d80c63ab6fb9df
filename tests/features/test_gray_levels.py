"""The gray levels of training images, from a conversion through the frame to the package."""

import pytest

from mammo_core import steps
from mammo_core.datasets.tables import read_table
from mammo_core.features.frame import frame_from_manifest
from mammo_core.features.gray_levels import training_gray_levels
from mammo_core.imaging.plausibility import DISTRIBUTED
from mammo_core.packaging import TrainingData
from mammo_core.packaging.training_data import training_data
from mammo_core.phantom import PhantomConfig, create
from tests.support.training_run import begin_run


def test_frame_and_package_keep_the_distribution_over_the_training_split(file_store, tmp_path):
    create(tmp_path / "phantom", PhantomConfig(patients=12, height=192, width=144), workers=1)
    source = f"source.root={tmp_path / 'phantom'}"
    run = begin_run(file_store, "gray", "phantom", [source])
    tables = steps.index(run)
    images = steps.convert(run, tables=tables)
    manifest = steps.publish_features(run, tables=tables, images=images)
    frame = frame_from_manifest(file_store, manifest)
    levels = frame.facts.gray_levels
    assert set(levels) == set(DISTRIBUTED)
    # Of the training images, and of no others.
    statistics = read_table(file_store, images, "statistics.parquet")
    train = set(frame.split("train")["image_id"])
    values = statistics[statistics["image_id"].isin(train)]["gray_used_range"]
    assert 0 < len(values) < len(statistics)
    assert levels["used_range"].minimum == pytest.approx(values.min(), abs=1e-6)
    assert levels["used_range"].maximum == pytest.approx(values.max(), abs=1e-6)
    splits = dict(zip(frame.images["image_id"], frame.images["split"], strict=True))
    assert training_gray_levels(statistics, splits) == levels
    data = training_data(
        frame,
        read_table(file_store, tables, "images.parquet"),
        source="phantom",
        recipe="phantom",
        license="",
        weights="none",
        split="official",
    )
    assert data.gray_levels == levels
    assert TrainingData.model_validate_json(data.model_dump_json()) == data
