"""Labels and splits of a frame."""

import pandas as pd
import pytest

from mammo_core.errors import RecordError
from mammo_core.features import Frame
from mammo_core.features.kinds import FrameFacts

FRAME = Frame(
    id="f1",
    images=pd.DataFrame({"image_id": ["c", "a", "b"], "split": ["test", "train", "train"]}),
    lesions=pd.DataFrame(
        {"lesion_id": ["l1", "l2"], "image_id": ["a", "c"], "patch_class": ["mass_mal", "calc_ben"]}
    ),
    facts=FrameFacts(mean=1.0, rescale_factor=1.0, shuffled_labels=False),
)


def patches(*rows):
    return pd.DataFrame(rows, columns=["patch_id", "image_id", "lesion_id", "kind"])


def test_a_split_is_sorted():
    assert list(FRAME.split("train")["image_id"]) == ["a", "b"]
    assert len(FRAME.split("validation")) == 0


def test_patches_have_the_class_of_their_lesion_and_the_split_of_their_image():
    table = patches(
        ("p1", "a", "l1", "lesion"),
        ("p2", "a", "l1", "near_lesion"),
        ("p3", "a", "", "background"),
        ("p4", "b", "", "hard_negative"),
        ("p5", "c", "l2", "lesion"),
        ("p6", "excluded", "l9", "lesion"),
    )
    # background, calc_ben, calc_mal, mass_ben, mass_mal
    assert FRAME.patch_labels(table, "train") == {"p1": 4, "p2": 0, "p3": 0, "p4": 0}
    assert FRAME.patch_labels(table, "test") == {"p5": 1}
    assert FRAME.patch_labels(table, "validation") == {}


def test_a_patch_of_an_unknown_lesion_is_refused():
    with pytest.raises(RecordError, match="lesion l9 of a patch is not in the frame f1"):
        FRAME.patch_labels(patches(("p1", "a", "l9", "lesion")), "train")
