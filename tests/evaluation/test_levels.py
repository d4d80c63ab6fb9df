import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    roc_auc_score,
)

from mammo_core.errors import ModelError, RecordError
from mammo_core.evaluation import (
    EvaluationConfig,
    EvaluationResult,
    apply_rules,
    at_level,
    evaluate,
    patch_evaluation,
    report,
)
from mammo_core.evaluation.report import tables as report_tables
from mammo_core.evaluation.report import wording
from mammo_core.metrics import Metric, metrics, register_metric
from mammo_core.metrics import metric as registry

CONFIG = EvaluationConfig(bootstrap_replicates=200)


@pytest.fixture(scope="module")
def tables(predictions):
    return predictions(60, 1), predictions(40, 2, "V")


@pytest.fixture(scope="module")
def result(tables, predictions):
    leaked = predictions(5, 3, "L")
    return evaluate(*tables, CONFIG, 0, leaking=sorted(set(leaked["patient_key"])), leaked=leaked)


def test_every_level_has_every_metric(tables, result):
    for level, count in (("image", 240), ("breast", 120), ("patient", 60)):
        performance, table = result.at(level), at_level(tables[0], level)
        values = performance.metrics
        labels, scores = table["label"], table["probability"]
        assert (performance.n, performance.n_patients, performance.n_malignant) == (
            count,
            60,
            labels.sum(),
        )
        auc, delong = performance.auc, values["auc_delong"]
        assert auc.value == pytest.approx(roc_auc_score(labels, scores))
        assert delong.value == pytest.approx(auc.value)
        width = auc.high - auc.low
        assert delong.high - delong.low == pytest.approx(width, rel=0.3)
        expected = average_precision_score(labels, scores)
        assert values["average_precision"].value == pytest.approx(expected)
        assert values["brier"].value == pytest.approx(brier_score_loss(labels, scores))
        calibrated = apply_rules(result.rules, level, scores).calibrated
        expected = brier_score_loss(labels, calibrated)
        assert values["brier_calibrated"].value == pytest.approx(expected)
        assert sum(performance.reliability.counts) == count
        for point in performance.operating_points:
            counts = point.counts
            assert point.sensitivity.value == pytest.approx(counts.sensitivity)
            assert point.specificity.value == pytest.approx(counts.specificity)
            assert point.sensitivity.low <= point.sensitivity.value <= point.sensitivity.high
    # The scores are overconfident by a factor of two: calibration on validation corrects that.
    values = result.at("image").metrics
    assert values["brier_calibrated"].value < values["brier"].value


def test_the_result_repeats_the_main_values(result):
    images = result.at("image")
    assert (result.auc, result.auc_ci95) == (images.auc.value, (images.auc.low, images.auc.high))
    assert result.breast_auc == result.at("breast").auc
    assert result.sensitivity == images.operating_points[0].sensitivity.value
    assert result.operating_point.threshold == images.operating_points[0].threshold


def test_the_result_is_strict_json(result):
    text = result.model_dump_json()
    assert EvaluationResult.model_validate_json(text) == result
    json.loads(text, parse_constant=lambda name: pytest.fail(name))


def test_subgroups_with_counts_and_warnings(tables, result):
    groups = {(group.by, group.group): group for group in result.subgroups}
    test = tables[0]
    assert {by for by, _ in groups} == {"lesion type", "view", "breast density", "source", "split"}
    mass = test[test["lesion_types"].isin(["mass", "calc+mass"])]
    group = groups[("lesion type", "mass")]
    assert (group.n_images, group.n_malignant) == (len(mass), mass["label"].sum())
    assert group.auc.value == pytest.approx(roc_auc_score(mass["label"], mass["probability"]))
    assert groups[("view", "CC")].n_images == groups[("view", "MLO")].n_images == 120
    malignant = test[test["label"] == 1].groupby("breast_density")["patient_key"].nunique()
    for density, name in ((1, "1 (fatty)"), (2, "2 (scattered)"), (4, "4 (extremely dense)")):
        warning = groups[("breast density", name)].warning
        small = malignant[density] < 10
        assert warning == "" or (small and f"small: {malignant[density]} malignant" in warning)
        assert small == bool(warning)
    assert malignant.min() < 10 <= malignant.max()
    assert groups[("view", "CC")].warning == ""
    official, clean = groups[("split", "official")], groups[("split", "official without leak")]
    assert (official.n_images, clean.n_images) == (260, 240)
    assert "in the official training set too: 5" in official.warning
    assert clean.auc.value == pytest.approx(result.auc)


def test_leaking_patients_inside_the_test_set_are_excluded(tables):
    leaking = ["T_00000", "T_00001"]
    result = evaluate(*tables, CONFIG, 0, leaking=leaking)
    groups = {group.group: group for group in result.subgroups if group.by == "split"}
    assert groups["official"].n_images == 240
    assert groups["official without leak"].n_images == 232


def test_a_group_of_one_class_is_counted_and_has_no_auc(tables):
    test, validation = tables
    density = np.where(test["label"] == 1, 4, 1)
    result = evaluate(test.assign(breast_density=density), validation, CONFIG, 0)
    dense = next(group for group in result.subgroups if group.group.startswith("4"))
    assert dense.auc is None and dense.specificity is None and dense.sensitivity is not None
    assert dense.n_images == dense.n_malignant and "small" in dense.warning


def test_missing_metadata_is_its_own_group(tables):
    test, validation = tables
    result = evaluate(
        test.assign(breast_density=[np.nan, *[2] * 239], lesion_types=[None, *["mass"] * 239]),
        validation,
        CONFIG,
        0,
    )
    groups = {(group.by, group.group): group.n_images for group in result.subgroups}
    assert groups[("breast density", "unknown")] == 1
    assert groups[("lesion type", "none annotated")] == 1


def test_sentences(tables, result):
    text = " ".join(wording.summary_sentences(result))
    images = result.at("image")
    assert f"AUC {images.auc.value:.3f}" in text and "240 images of 60 patients" in text
    counts = images.operating_points[0].counts
    assert f"{counts.true_positives} of {images.n_malignant} malignant images" in text
    assert wording.cautions(result) == []
    page = wording.markdown(result)
    assert page.count("\n|") == 10 and "| Partial AUC, sensitivity ≥ 0.80" in page
    test, validation = tables
    few = evaluate(test[test["patient_key"] < "T_00012"], validation[:40], CONFIG, 0)
    text = " ".join(wording.cautions(few))
    assert "Few images to test on" in text and "validation images: they may not hold" in text
    worse = validation.assign(probability=1 - validation["probability"])
    assert "Not calibrated" in " ".join(wording.cautions(evaluate(test, worse, CONFIG, 0)))


def test_labels_of_several_origins_are_not_mixed_silently(tables):
    test, validation = tables
    origin = ["biopsy" if label else "birads" for label in test["label"]]
    result = evaluate(test.assign(label_origin=origin), validation, CONFIG, 0)
    by_origin = {g.group: g.n_malignant for g in result.subgroups if g.by == "label origin"}
    assert by_origin == {"biopsy": int(test["label"].sum()), "birads": 0}
    assert "Labels of several origins" in " ".join(wording.cautions(result))
    one = evaluate(test.assign(label_origin="biopsy"), validation, CONFIG, 0)
    assert not [group for group in one.subgroups if group.by == "label origin"]


def test_the_worst_errors_come_first(tables, result):
    rows = report_tables.errors_table(tables[0], result, limit=3)
    assert [row["error"] for row in rows] == ["missed"] * 3 + ["false alarm"] * 3
    assert set(rows[0]) == {"error", "view", "probability", "lesion types", "breast density"}
    test, threshold = tables[0], result.operating_point.threshold
    malignant = test[test["label"] == 1]["probability"].sort_values()
    assert [row["probability"] for row in rows[:3]] == malignant[:3].tolist()
    assert all(row["probability"] >= threshold for row in rows[3:])
    assert rows[3]["probability"] == test[test["label"] == 0]["probability"].max()
    everything = report_tables.errors_table(tables[0], result, limit=1000)
    counts = result.at_operating_point
    assert len(everything) == counts.false_negatives + counts.false_positives
    # A view with two files is listed once, by the worse one.
    again = tables[0].assign(
        image_id="x" + tables[0]["image_id"], probability=tables[0]["probability"] * 0.999
    )
    twice = report_tables.errors_table(pd.concat([tables[0], again]), result, limit=1000)
    assert len({row["view"] for row in twice}) == len(twice) >= len(everything)


def test_one_class_per_breast_is_reported(tables):
    test, validation = tables
    left = test[test["laterality"] == "LEFT"]
    sick = left.groupby("patient_key")["label"].transform("max") == 1
    # One image of each breast is malignant: images have two classes, breasts have one.
    mixed = left[sick].assign(label=(left["view"] == "CC").astype(int))
    result = evaluate(mixed, validation, CONFIG, 0)
    assert result.at("breast") is None and result.breast_auc is None
    assert "No metrics per breast" in " ".join(wording.cautions(result))


def test_a_perfect_score_on_few_patients_has_a_wide_interval(tables):
    test, validation = tables
    few = test[test["patient_key"] < "T_00010"]
    perfect = few.assign(probability=0.1 + 0.8 * few["label"])
    images = evaluate(perfect, validation, CONFIG, 0).at("image")
    point = images.operating_points[0]
    assert (point.specificity.value, point.specificity.high) == (1, 1)
    # 10 patients with benign images, all classified correctly: Wilson's interval begins at 0.72.
    assert point.specificity.low == pytest.approx(10 / (10 + 1.96**2), abs=1e-3)
    malignant = few[few["label"] == 1]["patient_key"].nunique()
    assert (images.auc.value, images.auc.high) == (1, 1)
    assert images.auc.low == pytest.approx(malignant / (malignant + 1.96**2), abs=1e-3)


def test_patch_intervals_by_patient():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 300)
    scores = random.dirichlet(np.ones(3), 300)
    scores[np.arange(300), labels] += 0.3
    scores /= scores.sum(axis=1, keepdims=True)
    names = ("background", "mass_ben", "mass_mal", "calc_mal")
    scores = np.c_[scores, np.zeros(300)]
    patches = patch_evaluation(labels, scores, names, groups=np.arange(300) // 5, replicates=500)
    low, high = patches.accuracy_ci95
    assert low < patches.accuracy < high
    # Patches are independent here, so the binomial error applies.
    error = np.sqrt(patches.accuracy * (1 - patches.accuracy) / 300)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.25)
    for value, ends in zip(patches.class_auc[:3], patches.class_auc_ci95[:3], strict=True):
        assert ends[0] < value < ends[1]
    assert patches.class_auc_ci95[3] is None
    assert patch_evaluation(labels, scores, names).accuracy_ci95 is None


@pytest.fixture
def balanced_accuracy(monkeypatch):
    """A metric of another package: one module that registers itself."""
    metrics()  # discover the built-in ones first
    monkeypatch.setattr(registry, "_METRICS", dict(registry._METRICS))

    def at_one_half(labels, scores):
        called = scores >= 0.5
        return float((called[labels == 1].mean() + 1 - called[labels == 0].mean()) / 2)

    return register_metric(
        Metric(
            name="balanced_accuracy",
            label="Balanced accuracy",
            description="Mean of sensitivity and specificity at a probability of 0.5.",
            function=at_one_half,
        )
    )


def test_a_metric_from_outside_is_in_the_facts_and_the_report(tables, result, balanced_accuracy):
    again = evaluate(*tables, CONFIG, 0)
    table = tables[0]
    called = table["probability"] >= 0.5
    expected = balanced_accuracy_score(table["label"], called)
    interval = again.at("image").metrics["balanced_accuracy"]
    assert interval.value == pytest.approx(expected)
    assert interval.low < interval.value < interval.high and interval.replicates == 200
    assert again.summary()["balanced_accuracy"] == interval.value
    stored = again.model_dump(mode="json")["levels"]
    assert [level["balanced_accuracy"]["value"] > 0.5 for level in stored] == [True] * 3
    assert EvaluationResult.model_validate_json(again.model_dump_json()) == again
    row = report_tables.metrics_table(again)[-1]
    assert row["metric"] == "Balanced accuracy" and row["per image"] == str(interval)
    page = report(title="t", facts={}, result=again)
    assert "Balanced accuracy" in page and balanced_accuracy.description in page
    # The other metrics are not affected: all come from the same draws.
    assert again.at("image").auc == result.at("image").auc


def test_a_metric_outside_its_range_is_an_error(tables, monkeypatch):
    metrics()
    monkeypatch.setattr(registry, "_METRICS", dict(registry._METRICS))
    register_metric(
        Metric(name="wrong", label="Wrong", description="Wrong.", function=lambda y, s: 2.0)
    )
    with pytest.raises(ModelError, match="wrong is outside its range"):
        evaluate(*tables, CONFIG, 0)


def test_a_metric_that_is_undefined_on_a_level_is_none(tables, monkeypatch):
    metrics()
    monkeypatch.setattr(registry, "_METRICS", dict(registry._METRICS))

    def undefined(labels, scores):
        raise RecordError("Undefined", expected="more records", received="too few")

    register_metric(Metric(name="rare", label="Rare", description="Rare.", function=undefined))
    result = evaluate(*tables, CONFIG, 0)
    assert result.at("image").metrics["rare"] is None and "rare" not in result.summary()
    assert report_tables.metrics_table(result)[-1]["per image"] == "–"
