import numpy as np
import pandas as pd
import pytest

from mammo_core.errors import ModelError, RecordError
from mammo_core.evaluation import (
    EvaluationConfig,
    EvaluationResult,
    evaluate,
    patch_evaluation,
    per_breast,
    per_patient,
    report,
)
from mammo_core.reporting import Overlay

CONFIG = EvaluationConfig(bootstrap_replicates=200)


def row(patient, side, view, label, probability, file=""):
    view_id = f"{patient}_{side}_{view}"
    return {
        "image_id": view_id + file,
        "patient_key": patient,
        "view_id": view_id,
        "laterality": side,
        "view": view,
        "view_class": view,
        "exam_key": "",
        "label": label,
        "probability": probability,
    }


# By hand. P_00001 LEFT CC was scanned twice.
TEST = pd.DataFrame(
    [
        row("P_00001", "LEFT", "CC", 1, 0.9, "a"),
        row("P_00001", "LEFT", "CC", 1, 0.5, "b"),
        row("P_00001", "LEFT", "MLO", 1, 0.3),
        row("P_00001", "RIGHT", "CC", 0, 0.2),
        row("P_00002", "LEFT", "CC", 0, 0.6),
        row("P_00002", "LEFT", "MLO", 0, 0.2),
        row("P_00003", "RIGHT", "MLO", 0, 0.1),
        row("P_00004", "RIGHT", "CC", 1, 0.8),
    ]
)
VALIDATION = pd.DataFrame(
    [
        row("P_00010", "LEFT", "CC", 1, 0.7),
        row("P_00011", "LEFT", "CC", 0, 0.4),
        row("P_00012", "LEFT", "CC", 0, 0.1),
    ]
)


def test_aggregation_by_hand():
    breasts = per_breast(TEST).set_index(["patient_key", "laterality"])
    # Files of a view first: ((0.9 + 0.5) / 2 + 0.3) / 2, not (0.9 + 0.5 + 0.3) / 3.
    assert breasts.loc[("P_00001", "LEFT"), "probability"] == pytest.approx(0.5)
    assert breasts.loc[("P_00002", "LEFT"), "probability"] == pytest.approx(0.4)
    assert breasts["label"].to_dict()[("P_00001", "RIGHT")] == 0
    patients = per_patient(TEST).set_index("patient_key")
    assert patients["probability"].round(9).to_dict() == {
        "P_00001": 0.5,
        "P_00002": 0.4,
        "P_00003": 0.1,
        "P_00004": 0.8,
    }
    assert patients["label"].to_dict() == {
        "P_00001": 1,
        "P_00002": 0,
        "P_00003": 0,
        "P_00004": 1,
    }


def test_evaluation_by_hand():
    result = evaluate(TEST, VALIDATION, CONFIG, seed=0)
    # 4 malignant x 4 benign images; misordered: 0.5 and 0.3 against 0.6.
    assert result.auc == pytest.approx(14 / 16)
    assert result.auc_ci95[0] <= result.auc <= result.auc_ci95[1]
    assert result.breast_auc.value == result.patient_auc.value == 1
    counts = (result.n_images, result.n_views, result.n_breasts, result.n_patients)
    assert counts == (8, 7, 5, 4)
    assert (result.n_malignant, result.n_malignant_views) == (4, 3)
    # Validation: all of the one malignant, none of the benign at 0.7.
    point = result.operating_point
    assert (point.threshold, point.sensitivity, point.specificity) == (0.7, 1, 1)
    assert (result.sensitivity, result.specificity) == (0.5, 1)
    counts = result.at_operating_point
    assert (counts.true_positives, counts.false_negatives) == (2, 2)
    assert (counts.false_positives, counts.true_negatives) == (0, 4)


def test_the_result_survives_json_and_does_not_depend_on_row_order():
    result = evaluate(TEST, VALIDATION, CONFIG, seed=0)
    assert EvaluationResult.model_validate_json(result.model_dump_json()) == result
    shuffled = TEST.sample(frac=1, random_state=1)
    assert evaluate(shuffled, VALIDATION, CONFIG, seed=0).model_dump_json() == (
        result.model_dump_json()
    )


def test_the_test_set_chooses_nothing():
    other = TEST.assign(probability=1 - TEST["probability"])
    first = evaluate(TEST, VALIDATION, CONFIG, seed=0)
    second = evaluate(other, VALIDATION, CONFIG, seed=0)
    assert first.operating_point == second.operating_point


def test_validation_of_one_class_gives_no_operating_point():
    result = evaluate(TEST, VALIDATION[VALIDATION["label"] == 0], CONFIG, seed=0)
    assert result.operating_point is None and result.at_operating_point is None
    assert "validation set has one class only" in report(title="t", facts={}, result=result)


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (lambda t: t.drop(columns="view"), RecordError, "without view"),
        (lambda t: t[:0], RecordError, "a record"),
        (lambda t: pd.concat([t, t[:1]]), RecordError, "Duplicate image_id"),
        (lambda t: t.assign(label=0), RecordError, "both classes"),
        (lambda t: t.assign(label=[2] + [0] * 7), RecordError, "labels 0 or 1"),
        (lambda t: t.assign(laterality=[None] + ["LEFT"] * 7), RecordError, "laterality"),
        (lambda t: t.assign(probability=np.nan), ModelError, "not finite"),
        (lambda t: t.assign(probability=t["probability"] * 3), ModelError, "outside \\[0, 1\\]"),
        (lambda t: t.assign(patient_key="P_00010"), RecordError, "share patients"),
    ],
)
def test_predictions_that_cannot_be_evaluated_are_an_error(change, kind, words):
    with pytest.raises(kind, match=words):
        evaluate(change(TEST), VALIDATION, CONFIG, seed=0)


def test_patch_evaluation_by_hand():
    probabilities = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.4, 0.5, 0.1]]
    result = patch_evaluation([0, 1, 1, 0], probabilities, ("background", "calc", "mass"))
    assert result.accuracy == 0.5
    assert result.class_counts == (2, 2, 0)
    assert result.confusion == ((1, 1, 0), (1, 1, 0), (0, 0, 0))
    # Background: (0.8, 0.4) against (0.2, 0.6): 3 of 4. Calc: (0.7, 0.3) against (0.1, 0.5).
    assert result.class_auc == (0.75, 0.75, None)
    with pytest.raises(RecordError, match="label map"):
        patch_evaluation([0, 1, 1, 0], probabilities, ("background", "calc"))


def test_the_report_covers_the_whole_run():
    epochs = [{"stage": 1, "epoch": 1, "loss": 1.0, "val_auc": 0.7, "images_per_s": 12.5}]
    image = np.full((60, 40), 9000, np.uint16)
    patches = patch_evaluation([0, 1], [[0.9, 0.1], [0.2, 0.8]], ("background", "mass_mal"))
    html = report(
        title="smoke",
        facts={"Run": "run-7", "Recipe": "recipes/smoke.yaml", "Image dataset": "f" * 64},
        result=evaluate(TEST, VALIDATION, CONFIG, seed=0),
        dataset_counts=[{"split": "train", "images": 2458, "views": 2400}],
        patches=patches,
        histories={"Patch classifier": epochs, "Whole-image classifier": []},
        patch_examples={"background": np.zeros((2, 8, 8), np.uint16)},
        overlays=[Overlay(image, np.zeros((3, 2)), image > 0, "P_00001 LEFT CC, 0.87")],
        rejects=[{"item": "a/1.dcm", "kind": "image", "reason": "truncated", "step": "convert"}],
        seconds={"index": 1.25, "convert": 20.0},
    )
    for text in (
        "run-7",
        "f" * 64,
        "2,458",
        "0.875",
        "8 images of 7 views",
        "Patch accuracy",
        "1 epoch, 12.5 images/s",
        "P_00001 LEFT CC, 0.87",
        "1 × image at convert",
        "truncated",
        "21.2",
        "Research use only. Not a medical device.",
    ):
        assert text in html, text
    # ROC, precision, reliability, subgroups, two confusions, training, sheet, view.
    assert html.count("data:image/png;base64,") == 9
