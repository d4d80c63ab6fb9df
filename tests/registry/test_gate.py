import numpy as np
import pandas as pd
import pytest

from mammo_core.errors import RecordError
from mammo_core.registry import GateConfig, decide

CONFIG = GateConfig(min_auc=0.6, bootstrap_replicates=300)


def predictions(quality, seed=0, patients=120):
    """Test predictions; the labels are the same whatever the quality."""
    labels = np.repeat(np.random.default_rng(0).random(patients) < 0.4, 2).astype(int)
    noise = np.random.default_rng(seed).normal(size=2 * patients)
    keys = np.repeat([f"P_{n:05d}" for n in range(patients)], 2)
    views = np.tile(["CC", "MLO"], patients)
    view_ids = [f"{key}_LEFT_{view}" for key, view in zip(keys, views, strict=True)]
    return pd.DataFrame(
        {
            "image_id": view_ids,
            "patient_key": keys,
            "view_id": view_ids,
            "laterality": "LEFT",
            "view": views,
            "view_class": views,
            "exam_key": "",
            "label": labels,
            "probability": 1 / (1 + np.exp(-(quality * labels + noise))),
        }
    )


def test_the_first_model_only_needs_the_floor():
    result = decide(predictions(1.5), None, CONFIG, 0)
    assert result.passed and result.champion_auc is None
    assert "no champion" in result.reasons[1]
    assert not decide(predictions(0.0), None, CONFIG, 0).passed


def test_a_better_model_passes_and_a_worse_one_does_not():
    good, bad = predictions(2.5, seed=1), predictions(1.0, seed=2)
    up, down = decide(good, bad, CONFIG, 0), decide(bad, good, CONFIG, 0)
    assert up.passed and up.difference > 0
    assert not down.passed and down.auc > CONFIG.min_auc and "margin" in down.reasons[1]
    assert up.difference == pytest.approx(-down.difference)
    assert up.difference == pytest.approx(up.auc - up.champion_auc)
    assert up.difference_ci95[0] <= up.difference <= up.difference_ci95[1]


def test_better_than_a_bad_champion_is_not_enough():
    result = decide(predictions(0.2, seed=1), predictions(-1.0), CONFIG, 0)
    assert not result.passed and "floor" in result.reasons[0]


def test_equal_predictions_pass_and_non_inferiority_must_be_shown():
    same = predictions(1.5)
    assert decide(same, same, CONFIG, 0).passed
    # A little worse on few patients: non-inferiority is not shown, though the difference is small.
    few, slightly = predictions(1.5, patients=40), predictions(1.5, seed=3, patients=40)
    shown = decide(slightly, few, CONFIG, 0)
    assert not shown.passed and shown.difference_ci95[0] < -CONFIG.margin
    lenient = CONFIG.model_copy(update={"non_inferiority": "point", "margin": 0.2})
    assert decide(slightly, few, lenient, 0).passed


def test_the_champion_itself_is_no_worse_but_must_reach_the_floor():
    good = decide(predictions(2.0), None, CONFIG, 0, challenger_id="x", champion_id="x")
    assert good.passed
    assert good.reasons[1:] == ["already the champion"]
    bad = decide(predictions(0.0), None, CONFIG, 0, challenger_id="x", champion_id="x")
    assert not bad.passed
    assert "the floor" in bad.reasons[0]


def test_order_of_rows_changes_nothing():
    challenger, champion = predictions(2.0, seed=1), predictions(1.9, seed=2)
    shuffled = champion.sample(frac=1, random_state=5)
    result = decide(challenger, champion, CONFIG, 0)
    assert decide(challenger, shuffled, CONFIG, 0) == result


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t[1:],
        lambda t: t.assign(label=1 - t["label"]),
        lambda t: t.assign(image_id=t["image_id"] + "x"),
    ],
)
def test_different_records_are_refused(change):
    with pytest.raises(RecordError, match="same records"):
        decide(predictions(1.5), change(predictions(1.5)), CONFIG, 0)


def both_views(table):
    """Predictions of a model of both views: each image has the probability of its breast."""
    means = table.groupby(["patient_key", "laterality"])["probability"].transform("mean")
    return table.assign(probability=means)


def other_view(table):
    """The same test set with an image of another view, which is not used for breasts."""
    extra = table[:1].assign(
        image_id="x", view_id="P_00000_LEFT_XX", view="", view_class="", probability=0.5
    )
    return pd.concat([table, extra], ignore_index=True)


@pytest.mark.parametrize("swap", [False, True])
def test_a_model_of_both_views_is_judged_by_breasts(swap):
    table = predictions(1.5)
    # The champion's images, averaged to breasts, are exactly the challenger's breasts.
    pair = (both_views(table), other_view(table))
    ours, theirs = reversed(pair) if swap else pair
    result = decide(ours, theirs, CONFIG, 0, unit="breast")
    assert result.unit == "breast" and result.passed
    assert result.difference == 0 and result.auc == result.champion_auc
    assert result.reasons[0].startswith("AUC per breast")
    alone = decide(ours, None, CONFIG, 0, unit="breast")
    assert alone.auc == result.auc and alone.unit == "breast"
    with pytest.raises(RecordError, match="same records"):
        decide(ours, theirs, CONFIG, 0)


def test_two_models_are_compared_by_breasts_where_one_sees_both_views():
    from mammo_core.evaluation import EvaluationConfig, compare
    from mammo_core.evaluation.aggregate import LEVELS
    from mammo_core.evaluation.report.comparison import comparison_report

    config = EvaluationConfig(bootstrap_replicates=100)
    table = predictions(1.5)
    comparison = compare(both_views(table), other_view(table), config, 0, levels=LEVELS[1:])
    assert [level.level for level in comparison.levels] == ["breast", "patient"]
    assert comparison.levels[0].n == 120 and comparison.levels[0].difference.value == 0
    assert comparison.correlation == pytest.approx(1)
    page = comparison_report(comparison)
    assert "on 120 breasts of 120 patients" in page and "Per breast, test set" in page
