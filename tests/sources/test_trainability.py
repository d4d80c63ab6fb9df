"""What no network can be trained on is said before any training, with what can be done."""

import pandas as pd
import pytest

from mammo_core.errors import SourceError
from mammo_core.sources.splitting.trainability import (
    require_trainable,
    source_obstacles,
    split_obstacles,
)

CLASSES = [
    ("calc_ben", frozenset({"calc_ben"})),
    ("mass_mal", frozenset({"mass_mal"})),
]


def source_images(labels, rows=400, columns=300):
    return pd.DataFrame(
        {
            "patient_key": [f"P{at}" for at in range(len(labels))],
            "malignant": labels,
            "rows": rows,
            "columns": columns,
        }
    )


def obstacles_of(images, lesions=1, has_start=False, size=(400, 300)):
    table = pd.DataFrame({"lesion_id": [f"l{at}" for at in range(lesions)]})
    return source_obstacles(images, table, has_start=has_start, size=size)


def test_a_source_that_can_be_trained_on_has_no_obstacle():
    assert obstacles_of(source_images([0, 1, 0, 1])) == []


def test_images_without_lesions_need_a_start_package():
    images = source_images([0, 1, 0, 1])
    (obstacle,) = obstacles_of(images, lesions=0)
    assert obstacle.stops
    assert "image_training.start" in obstacle.hint and "whole images" in obstacle.hint
    assert obstacles_of(images, lesions=0, has_start=True) == []


@pytest.mark.parametrize(("label", "absent"), [(0, "malignant"), (1, "negative")])
def test_one_class_cannot_be_trained_whatever_it_starts_from(label, absent):
    (obstacle,) = obstacles_of(source_images([label] * 9), has_start=True)
    assert obstacle.stops and f"add {absent} patients" in obstacle.hint
    assert "image_training.start" not in obstacle.hint  # it would not help


@pytest.mark.parametrize("size", [(144, 112), (288, 224), (1152, 896)])
def test_thumbnails_and_patches_are_not_mammograms(size):
    (obstacle,) = obstacles_of(source_images([0, 1] * 4, 64, 64), size=size)
    assert obstacle.stops and "64x64" in obstacle.received
    assert "image_training.start" not in obstacle.hint
    # A recipe for such pictures says so in its geometry.
    assert obstacles_of(source_images([0, 1] * 4, 64, 64), size=(64, 64)) == []


def test_a_few_thumbnails_and_enlarged_images_are_warned_of():
    few = pd.concat([source_images([0, 1, 0, 1]), source_images([0], 64, 64)])
    assert [each.stops for each in obstacles_of(few)] == [False]
    assert [
        each.stops for each in obstacles_of(source_images([0, 1], 96, 80), size=(288, 224))
    ] == [False]
    assert obstacles_of(source_images([0, 1], 150, 120), size=(288, 224)) == []


def test_all_obstacles_are_in_one_error_each_with_its_remedy():
    obstacles = obstacles_of(source_images([0] * 8, 64, 64), lesions=0)
    with pytest.raises(SourceError) as error:
        require_trainable(obstacles, "")
    assert str(error.value).count("Also: ") == 2
    assert all(each.hint in str(error.value) for each in obstacles)
    require_trainable([each for each in obstacles if not each.stops], "")


def frame_images(**splits):
    """split=(negative, malignant) patients."""
    rows = [
        (split, label)
        for split, counts in splits.items()
        for label, count in enumerate(counts)
        for _ in range(count)
    ]
    keys = [f"P{at}" for at in range(len(rows))]
    return pd.DataFrame(rows, columns=["split", "label"]).assign(patient_key=keys)


def in_split(images, *, split_name="official", has_start=True, lesions=(), image="auc", patch=""):
    table = pd.DataFrame(list(lesions), columns=["split", "patch_class"])
    return split_obstacles(
        images,
        table,
        has_start=has_start,
        split_name=split_name,
        selections={"image": image, "patch": patch or "accuracy"},
        patch_classes=CLASSES,
    )


@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize("label", [0, 1])
def test_a_split_without_a_class_is_named(split, label):
    counts = {name: [4, 4] for name in ("train", "validation", "test")}
    counts[split][label] = 0
    (obstacle,) = in_split(frame_images(**counts))
    name = ("negative", "malignant")[label]
    assert obstacle.problem == f"The {split} split has no {name} patient"
    assert "stratified" in obstacle.hint  # enough patients, in the wrong splits


def test_too_few_patients_are_not_told_to_split_otherwise():
    images = frame_images(train=(4, 2), validation=(4, 0), test=(4, 0))
    obstacles = in_split(images, split_name="stratified")
    assert len(obstacles) == 2
    for obstacle in obstacles:
        assert obstacle.hint.startswith("add patients: 2 malignant in all")


def test_a_validation_split_may_lack_a_class_where_nothing_needs_it():
    images = frame_images(train=(4, 4), validation=(4, 0), test=(4, 4))
    assert in_split(images, image="accuracy") == []
    images = frame_images(train=(4, 4), validation=(0, 0), test=(4, 4))
    (obstacle,) = in_split(images, image="accuracy")
    assert "split.validation" in obstacle.hint


def test_lesions_of_a_split():
    images = frame_images(train=(4, 4), validation=(4, 4), test=(4, 4))
    (obstacle,) = in_split(images, has_start=False, lesions=[("validation", "mass_mal")])
    assert obstacle.problem == "The train split has no lesion of calc_ben, mass_mal"
    lesions = [("train", "mass_mal"), ("validation", "mass_mal")]
    assert in_split(images, has_start=False, lesions=lesions) == []
    (obstacle,) = in_split(images, has_start=False, lesions=lesions, patch="auc")
    assert "validation split has no lesion of calc_ben" in obstacle.problem
    assert in_split(images, lesions=[]) == []  # a start package needs none
