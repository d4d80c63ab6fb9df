"""Label maps."""

import json

import pandas as pd
import pytest
from pydantic import ValidationError

from mammo_core.features.frame import Frame
from mammo_core.features.kinds import FrameFacts
from mammo_core.sampling import LABEL_MAPS, LabelMap


@pytest.mark.parametrize(
    ("name", "classes", "indices"),
    [
        (
            "five-classes",
            ("background", "calc_ben", "calc_mal", "mass_ben", "mass_mal"),
            {"calc_ben": 1, "calc_mal": 2, "mass_ben": 3, "mass_mal": 4},
        ),
        # The heatmap features of the original need index 1 = malignant, 2 = benign.
        (
            "malignancy",
            ("background", "malignant", "benign"),
            {"calc_ben": 2, "calc_mal": 1, "mass_ben": 2, "mass_mal": 1},
        ),
        (
            "masses",
            ("background", "mass_ben", "mass_mal"),
            {"calc_ben": None, "calc_mal": None, "mass_ben": 1, "mass_mal": 2},
        ),
    ],
)
def test_the_named_label_maps(name, classes, indices):
    label_map = LabelMap.model_validate(name)
    assert label_map.names == classes and label_map.index("background") == 0
    assert {lesion: label_map.index(lesion) for lesion in indices} == indices
    # A stored recipe has sorted keys, and the classes in their order.
    stored = json.dumps(label_map.model_dump(mode="json"), sort_keys=True)
    assert LabelMap.model_validate_json(stored) == label_map
    assert label_map.names == tuple(LABEL_MAPS[name])


def test_a_custom_label_map():
    classes = {"rest": [], "calc": ["calc_ben", "calc_mal"]}
    label_map = LabelMap.model_validate({"classes": classes})
    assert label_map.names == ("rest", "calc") and label_map.index("mass_mal") is None


@pytest.mark.parametrize(
    "invalid",
    [
        "six-classes",
        {"classes": []},
        {"classes": [{"name": "x", "lesions": []}, {"name": "x", "lesions": ["calc_mal"]}]},
        {"classes": {}},
        {"classes": {"background": []}},
        {"classes": {"background": ["calc_ben"], "x": ["calc_mal"]}},
        {"classes": {"background": [], "x": []}},
        {"classes": {"background": [], "x": ["calc_mal"], "y": ["calc_mal"]}},
        {"classes": {"background": [], "x": ["calcification"]}},
        {"classes": {"background": [], "x": ["calc_mal"]}, "order": 1},
    ],
)
def test_an_invalid_label_map_is_refused(invalid):
    with pytest.raises(ValidationError):
        LabelMap.model_validate(invalid)


def test_a_frame_labels_patches_with_a_label_map():
    frame = Frame(
        id="f",
        images=pd.DataFrame({"image_id": ["i", "j"], "split": ["train", "test"]}),
        lesions=pd.DataFrame({"lesion_id": ["a", "b"], "patch_class": ["calc_mal", "mass_ben"]}),
        facts=FrameFacts(mean=0.0, rescale_factor=1.0, shuffled_labels=False),
    )
    rows = [("1", "i", "a", "lesion"), ("2", "i", "b", "lesion"), ("3", "i", "", "background")]
    rows += [("4", "i", "a", "near_lesion"), ("5", "j", "a", "lesion")]
    patches = pd.DataFrame(rows, columns=["patch_id", "image_id", "lesion_id", "kind"])
    labels = {
        name: frame.patch_labels(patches, "train", LabelMap.model_validate(name))
        for name in LABEL_MAPS
    }
    assert labels == {
        "five-classes": {"1": 2, "2": 3, "3": 0, "4": 0},
        "malignancy": {"1": 1, "2": 2, "3": 0, "4": 0},
        "masses": {"2": 1, "3": 0, "4": 0},
    }
