import numpy as np
import pandas as pd
import pytest

from mammo_core.errors import ModelError, RecordError
from mammo_core.evaluation import (
    Aggregation,
    DecisionRules,
    EvaluationConfig,
    apply_rules,
    at_level,
    evaluate,
    fit_rules,
    per_breast,
    per_patient,
)


def predictions(patients, seed=0):
    """Two breasts of two views; a malignant breast has the higher scores."""
    random = np.random.default_rng(seed)
    rows = []
    for number in range(patients):
        sick = random.random() < 0.5
        for side in ("LEFT", "RIGHT"):
            label = int(sick and side == "LEFT")
            for view in ("CC", "MLO"):
                rows.append(
                    {
                        "image_id": f"{number}_{side}_{view}",
                        "patient_key": f"P_{number:05d}",
                        "view_id": f"P_{number:05d}_{side}_{view}",
                        "laterality": side,
                        "view": view,
                        "view_class": view,
                        "exam_key": "",
                        "label": label,
                        "probability": float(np.clip(random.normal(0.3 + 0.4 * label, 0.2), 0, 1)),
                    }
                )
    return pd.DataFrame(rows)


VALIDATION = predictions(60)


def test_rules_of_each_level_come_from_validation():
    rules = fit_rules(VALIDATION, specificity=0.85, sensitivity=0.95, flips=True, translation=8)
    assert DecisionRules.model_validate_json(rules.model_dump_json()) == rules
    assert (rules.flips, rules.translation) == (True, 8)
    for level, count in (("image", 240), ("breast", 120), ("patient", 60)):
        level_rules = rules.at(level)
        assert level_rules.n_malignant + level_rules.n_benign == count
        specific, sensitive = level_rules.operating_points
        assert (specific.name, sensitive.name) == ("specificity-0.85", "sensitivity-0.95")
        assert specific.specificity >= 0.85 and sensitive.sensitivity >= 0.95
        assert level_rules.point() == specific
        assert level_rules.point("sensitivity-0.95") == sensitive
        # A point's values are those of the set it was chosen on.
        table = at_level(VALIDATION, level)
        called = apply_rules(rules, level, table["probability"]).malignant
        labels = table["label"].to_numpy() == 1
        for point in level_rules.operating_points:
            assert called[point.name][labels].mean() == pytest.approx(point.sensitivity)
            assert (~called[point.name][~labels]).mean() == pytest.approx(point.specificity)
    with pytest.raises(RecordError, match=r"no such operating point.*specificity-0\.85"):
        rules.image.point("youden")


def test_rules_calibrate():
    rules = fit_rules(VALIDATION, calibration="isotonic")
    decisions = apply_rules(rules, "image", VALIDATION["probability"])
    assert decisions.calibrated.shape == (240,)
    # Isotonic regression keeps the mean of the set it was fitted to.
    assert decisions.calibrated.mean() == pytest.approx(VALIDATION["label"].mean(), abs=1e-9)
    with pytest.raises(ModelError, match="not probabilities"):
        apply_rules(rules, "image", [1.5])


def test_default_rules_change_nothing():
    decisions = apply_rules(DecisionRules(), "breast", [0.2, 0.9])
    assert decisions.calibrated.tolist() == [0.2, 0.9] and decisions.malignant == {}
    assert DecisionRules().breast.point() is None


def test_validation_of_one_class_gives_no_rules():
    rules = fit_rules(VALIDATION[VALIDATION["label"] == 0])
    assert rules.image.calibration.method == "none" and rules.image.operating_points == ()
    assert (rules.image.n_malignant, rules.image.n_benign > 0) == (0, True)


def test_a_classifier_worse_than_chance_stays_uncalibrated():
    rules = fit_rules(VALIDATION.assign(probability=1 - VALIDATION["probability"]))
    assert rules.image.calibration.method == "none"
    assert len(rules.image.operating_points) == 2


def test_aggregations_by_hand():
    table = pd.DataFrame(
        {
            "image_id": list("abcd"),
            "patient_key": "P_1",
            "exam_key": "",
            "view_id": ["LCC", "LCC", "LMLO", "RCC"],
            "laterality": ["LEFT", "LEFT", "LEFT", "RIGHT"],
            "probability": [0.2, 0.4, 0.9, 0.5],
        }
    )
    assert per_breast(table)["probability"].tolist() == pytest.approx([0.6, 0.5])
    highest = Aggregation(views="max", sides="mean")
    assert per_breast(table, highest)["probability"].tolist() == pytest.approx([0.9, 0.5])
    assert per_patient(table)["probability"].tolist() == pytest.approx([0.6])
    assert per_patient(table, highest)["probability"].tolist() == pytest.approx([0.7])
    # Scores of unlabeled images are aggregated too.
    assert "label" not in per_patient(table).columns


def test_ties_on_a_straight_line_are_thresholds_too():
    # Each score has one benign and one malignant image: the curve is the diagonal.
    table = VALIDATION.head(8).assign(
        label=[0, 1] * 4, probability=[0.1, 0.1, 0.2, 0.2, 0.3, 0.3, 0.4, 0.4]
    )
    first, second = fit_rules(table, specificity=0.5, sensitivity=0.5).image.operating_points
    assert (first.threshold, first.sensitivity, first.specificity) == (0.3, 0.5, 0.5)
    assert (second.threshold, second.sensitivity, second.specificity) == (0.3, 0.5, 0.5)


def test_rules_for_other_flips_are_fitted_to_their_own_predictions():
    flipped = VALIDATION.assign(probability=VALIDATION["probability"] / 2)
    rules = fit_rules(VALIDATION, flips=False, other_flips=flipped)
    alone = fit_rules(flipped, flips=True)
    assert rules.with_flips(False) is rules
    assert rules.with_flips(True) == alone and alone.image != rules.image
    assert DecisionRules.model_validate_json(rules.model_dump_json()) == rules
    # Rules for one setting say nothing about the other, and their bytes are those of before.
    only = fit_rules(VALIDATION, flips=False)
    assert only.with_flips(True) is None and only.with_flips(False) is only
    assert "other_flips" not in only.model_dump() and "other_flips" not in only.model_dump_json()
    assert list(only.model_dump()) == [
        "flips", "translation", "aggregation", "image", "breast", "patient"
    ]  # fmt: skip


def test_an_evaluation_stores_rules_for_other_flips():
    test = predictions(30, seed=1).assign(
        image_id=lambda table: "t" + table["image_id"],
        patient_key=lambda table: "T" + table["patient_key"],
    )
    flipped = VALIDATION.assign(probability=VALIDATION["probability"] / 2)
    config = EvaluationConfig(bootstrap_replicates=100)
    result = evaluate(test, VALIDATION, config, 0, other_flips=flipped)
    plain = evaluate(test, VALIDATION, config, 0)
    expected = fit_rules(flipped.sort_values("image_id", ignore_index=True))
    assert result.rules.with_flips(True).image == expected.image
    # The numbers of the test set are those of the configured flips.
    assert result.model_copy(update={"rules": plain.rules}) == plain
    with pytest.raises(RecordError, match="same records"):
        evaluate(test, VALIDATION, config, 0, other_flips=flipped.head(20))
    assert "rules_for_other_flips" not in config.model_dump()  # ids of evaluations stay
    both = EvaluationConfig(rules_for_other_flips=True)
    assert EvaluationConfig.model_validate(both.model_dump(mode="json")) == both
