"""The views of breasts: exams apart, the best image of each view, parts of a view."""

import pandas as pd
import pytest

from mammo_core.datasets.breasts import BreastViews
from mammo_core.evaluation.breasts import assign_probabilities, breast_views

COLUMNS = {
    "patient_key": "p",
    "exam_key": "",
    "laterality": "LEFT",
    "view_modifiers": "",
    "image_type": "ffdm",
    "partial_view": False,
    "area_mm2": float("nan"),
    "acquisition_order": 0.0,
    "label": 0,
}
CLASSES = {"CC": "CC", "XCCL": "CC", "MLO": "MLO", "ML": "", "": ""}


def frame(*rows):
    """Rows of a frame: (image id, view, changes)."""
    return pd.DataFrame(
        [
            {"image_id": id, "view": view, "view_class": CLASSES[view], **COLUMNS, **changes}
            for id, view, changes in rows
        ]
    )


def test_exams_of_a_breast_are_never_mixed():
    """shared/cases/longitudinal: three exams of one breast, cancer in the last one only."""
    rows = frame(
        ("a", "CC", {"exam_key": "1"}),
        ("b", "MLO", {"exam_key": "1"}),
        ("c", "CC", {"exam_key": "2"}),
        ("d", "MLO", {"exam_key": "3", "label": 1}),
        ("e", "CC", {"exam_key": "3"}),
        ("f", "CC", {"laterality": "RIGHT"}),
    )
    assert breast_views(rows) == {
        "p/1/LEFT": BreastViews("a", "b", 0),
        "p/2/LEFT": BreastViews("c", None, 0),
        "p/3/LEFT": BreastViews("e", "d", 1),
        "p/RIGHT": BreastViews("f", None, 0),
    }


def test_each_view_is_its_best_image():
    rows = frame(
        ("a", "XCCL", {"label": 1}),
        ("b", "CC", {"image_type": "synthetic"}),
        ("c", "CC", {}),
        ("d", "ML", {}),
        ("e", "MLO", {"view_modifiers": "magnification"}),
        ("f", "MLO", {"area_mm2": 200.0, "acquisition_order": 1.0}),
        ("g", "MLO", {"area_mm2": 300.0}),
    )
    # A breast is malignant if any of its images is, also one that is not chosen.
    assert breast_views(rows) == {"p/LEFT": BreastViews("c", "g", 1)}
    assert breast_views(rows[rows["image_id"] == "d"]) == {}


def test_parts_of_a_view_are_pairs_whose_probability_is_averaged():
    rows = frame(
        ("a", "CC", {"partial_view": True}),
        ("b", "CC", {"partial_view": True}),
        ("c", "MLO", {}),
        ("d", "ML", {}),
    )
    pairs = breast_views(rows)
    assert pairs == {"p/LEFT": BreastViews("a", "c", 0), "p/LEFT#2": BreastViews("b", "c", 0)}
    scored = assign_probabilities(rows, {"p/LEFT": 0.2, "p/LEFT#2": 0.6}, "breast")
    assert list(scored["image_id"]) == ["a", "b", "c"]
    assert scored["probability"].tolist() == pytest.approx([0.4] * 3)
