import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from mammo_core.errors import RecordError
from mammo_core.evaluation.second_stage.regions import (
    REGION_FEATURES,
    RegionConfig,
    breast_features,
    breast_table,
    feature_names,
    region_features,
    region_map,
)
from mammo_core.sampling.labels import FIVE_CLASSES, LabelMap


def draw_map(malignant=(), benign=(), shape=(12, 14)):
    """A map with rectangles (top, left, height, width, probability)."""
    heat = np.zeros((*shape, 3))
    for index, boxes in ((1, malignant), (2, benign)):
        for top, left, height, width, value in boxes:
            heat[top : top + height, left : left + width, index] = value
    heat[..., 0] = 1 - heat[..., 1:].sum(axis=-1)
    return heat


@pytest.mark.parametrize(("regions", "count"), [(1, 76), (2, 140), (3, 204)])
def test_feature_counts_are_those_of_the_original(regions, count):
    # docs/original-system.md, "Region features and the second stage":
    # 2 views x 2 classes x (3 + 16 k) per cutoff.
    config = RegionConfig(cutoffs=(0.5,), regions=regions)
    names = feature_names(config)
    assert len(names) == len(set(names)) == count == 4 * (3 + 16 * regions)
    assert len(feature_names(RegionConfig(regions=regions))) == 7 * count
    heat = draw_map([(1, 1, 3, 3, 0.9)])
    assert tuple(breast_features(heat, heat, config)) == names
    assert len(REGION_FEATURES) == 16


def test_totals_and_the_largest_by_hand():
    heat = draw_map([(1, 1, 2, 3, 0.6), (6, 2, 4, 4, 0.8), (2, 9, 1, 1, 0.95)], [(9, 9, 2, 2, 0.5)])
    features = region_features(heat, 0.5, regions=2)
    assert (features["mal_nb_regions"], features["mal_total_area"]) == (3, 6 + 16 + 1)
    assert features["mal_global_max_intensity"] == 0.95
    assert [features[f"mal_{rank}_area"] for rank in (1, 2)] == [16, 6]
    assert (features["mal_1_max_intensity"], features["mal_2_mean_intensity"]) == (0.8, 0.6)
    assert (features["ben_nb_regions"], features["ben_1_area"], features["ben_2_area"]) == (1, 4, 0)
    # All features of an absent region are 0 except the Euler number.
    assert features["ben_2_euler_number"] == 2 and features["ben_2_solidity"] == 0
    # A cell that equals the cutoff belongs to the region.
    assert region_features(heat, 0.95, 1)["mal_total_area"] == 1
    assert region_features(heat, 0.96, 1)["mal_nb_regions"] == 0
    assert region_features(heat, 0.96, 1)["mal_global_max_intensity"] == 0


def test_shape_of_a_rectangle_by_hand():
    features = region_features(draw_map([(2, 3, 2, 6, 0.7)]), 0.5)
    values = {name: features[f"mal_1_{name}"] for name in REGION_FEATURES}
    # Variances of 6 and of 2 equal steps: (n² - 1) / 12.
    across, down = 35 / 12, 3 / 12
    assert values["inertia_eigenvalue_1"] == pytest.approx(across)
    assert values["inertia_eigenvalue_2"] == pytest.approx(down)
    assert values["major_axis_length"] == pytest.approx(4 * np.sqrt(across))
    assert values["minor_axis_length"] == pytest.approx(4 * np.sqrt(down))
    assert values["eccentricity"] == pytest.approx(np.sqrt(1 - down / across))
    assert values["equivalent_diameter"] == pytest.approx(np.sqrt(4 * 12 / np.pi))
    assert values["extent"] == values["solidity"] == values["area_over_filled_area"] == 1
    assert values["euler_number"] == 1
    # The path through the centers of the outer cells.
    assert values["perimeter"] == pytest.approx(2 * 5 + 2 * 1)


@pytest.mark.parametrize(
    ("cells", "angle"),
    [
        ([(5, 2), (5, 3), (5, 4), (5, 5)], 0.0),
        ([(2, 5), (3, 5), (4, 5), (5, 5)], -np.pi / 2),
        # Rows go down: from the lower left to the upper right is counterclockwise.
        ([(5, 2), (4, 3), (3, 4), (2, 5)], np.pi / 4),
        ([(2, 2), (3, 3), (4, 4), (5, 5)], -np.pi / 4),
        ([(5, 2), (5, 3), (4, 4), (4, 5)], np.pi / 8),  # variances 5/4, 1/4; covariance -1/2
    ],
)
def test_orientation_is_to_the_horizontal_as_before_scikit_image_016(cells, angle):
    heat = draw_map()
    for row, column in cells:
        heat[row, column, 1] = 0.9
    assert region_features(heat, 0.5)["mal_1_orientation"] == pytest.approx(angle, abs=0.02)


def test_holes_count_in_the_euler_number():
    heat = draw_map([(2, 2, 5, 8, 0.9)])
    heat[4, 4, 1] = heat[4, 7, 1] = 0.1
    features = region_features(heat, 0.5)
    assert features["mal_1_euler_number"] == -1
    assert features["mal_1_area_over_filled_area"] == pytest.approx(38 / 40)


def test_missing_views_are_nan():
    config = RegionConfig(cutoffs=(0.3, 0.5))
    features = breast_features(None, draw_map([(1, 1, 2, 2, 0.9)]), config)
    missing = {name for name, value in features.items() if np.isnan(value)}
    assert missing == {name for name in feature_names(config) if "_cc_" in name}


def test_any_label_map_becomes_three_classes():
    heat = np.array([[[0.1, 0.2, 0.3, 0.15, 0.25]]])
    # background, calc_ben, calc_mal, mass_ben, mass_mal
    assert region_map(heat, FIVE_CLASSES)[0, 0].tolist() == pytest.approx([0.1, 0.55, 0.35])
    three = LabelMap.model_validate("malignancy")
    assert region_map(heat[..., :3], three)[0, 0].tolist() == pytest.approx([0.1, 0.2, 0.3])
    with pytest.raises(RecordError, match="neither malignant nor benign"):
        region_map(heat[..., :3], FIVE_CLASSES)
    mixed = {"background": (), "calc": ("calc_ben", "calc_mal")}
    with pytest.raises(RecordError, match="neither malignant nor benign"):
        region_map(heat[..., :2], LabelMap.model_validate({"classes": mixed}))


@pytest.mark.parametrize(
    "invalid", [np.zeros((4, 4)), np.zeros((4, 4, 5)), np.full((4, 4, 3), np.nan)]
)
def test_an_invalid_map_is_an_error(invalid):
    with pytest.raises(RecordError, match="cannot be described"):
        region_features(invalid, 0.5)


@pytest.mark.parametrize("cutoffs", [(), (0.5, 0.3), (0.5, 0.5), (0, 0.5), (0.5, 1.5)])
def test_cutoffs_are_rising_probabilities(cutoffs):
    with pytest.raises(ValidationError):
        RegionConfig(cutoffs=cutoffs)


def test_each_pair_of_views_has_a_row():
    classes = ["CC", "CC", "MLO", "CC", "CC", "", "MLO"]
    images = pd.DataFrame(
        {
            "image_id": list("abcdefg"),
            "patient_key": ["P_1"] * 5 + ["P_2"] * 2,
            "exam_key": ["1"] * 4 + ["2"] + ["1"] * 2,
            "laterality": ["LEFT"] * 3 + ["RIGHT"] * 2 + ["LEFT", "RIGHT"],
            "view_class": classes,
            "label": [0, 0, 1, 0, 0, 0, 0],
        }
    )
    maps = {name: draw_map([(1, 1, 1, 1 + index, 0.9)]) for index, name in enumerate("abcdefg")}
    table = breast_table(images, maps, RegionConfig(cutoffs=(0.5,)))
    pairs = list(table[["cc_image", "mlo_image"]].itertuples(index=False, name=None))
    # Two exams of a breast are two breasts; one with only an image of neither class has no row.
    assert pairs == [("a", "c"), ("b", "c"), ("d", ""), ("e", ""), ("", "g")]
    assert table["label"].tolist() == [1, 1, 0, 0, 0]
    assert table["cutoff_0.50_cc_mal_1_area"].tolist()[:4] == [1, 2, 4, 5]
    assert np.isnan(table["cutoff_0.50_cc_mal_1_area"].iloc[4])
    with pytest.raises(RecordError, match="no heatmap"):
        breast_table(images, {}, RegionConfig())
