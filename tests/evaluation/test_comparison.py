import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mammo_core.errors import ModelError, RecordError
from mammo_core.evaluation import ComparisonResult, EvaluationConfig, compare, decision_report
from mammo_core.evaluation.report.comparison import comparison_report

CONFIG = EvaluationConfig(bootstrap_replicates=300)


@pytest.fixture(scope="module")
def pair(predictions):
    good = predictions(60, 1, gain=2.5)
    noise = np.random.default_rng(0).normal(0, 0.35, len(good))
    return good, good.assign(probability=np.clip(good["probability"] + noise, 0, 1))


def test_the_better_model_is_better_at_every_level(pair):
    result = compare(*pair, CONFIG, 0, names=("phantom 2", "phantom 1"))
    assert ComparisonResult.model_validate_json(result.model_dump_json()) == result
    assert [level.level for level in result.levels] == ["image", "breast", "patient"]
    images = result.levels[0]
    first, second = (roc_auc_score(table["label"], table["probability"]) for table in pair)
    assert images.difference.value == pytest.approx(first - second)
    assert images.delong.value == pytest.approx(first - second)
    assert images.difference.low > 0 and images.delong.p_value < 0.05
    # Two methods, one interval.
    width = images.difference.high - images.difference.low
    assert images.delong.high - images.delong.low == pytest.approx(width, rel=0.3)
    assert 0.3 < result.correlation < 0.99
    html = comparison_report(result, reasons=["AUC 0.9 ≥ 0.7, the floor"])
    for text in ("phantom 2 ranks better than phantom 1", "the floor", "&lt; 0.001", "Spearman"):
        assert text in html
    assert html.count("data:image/png;base64,") == 2


def test_the_order_of_rows_changes_nothing(pair):
    first, second = pair
    again = compare(first.sample(frac=1, random_state=1), second, CONFIG, 0)
    assert again == compare(first, second, CONFIG, 0)


def test_a_model_against_itself_shows_nothing(pair):
    result = compare(pair[0], pair[0], CONFIG, 0)
    assert result.levels[0].difference.value == 0 and result.levels[0].delong.p_value == 1
    assert "No difference is shown" in comparison_report(result)
    assert "ranks worse" in comparison_report(compare(pair[1], pair[0], CONFIG, 0))


def test_a_constant_model_can_be_compared(pair):
    result = compare(pair[0], pair[0].assign(probability=0.5), CONFIG, 0)
    assert result.correlation is None
    assert result.levels[0].reference_auc.value == 0.5


def test_a_decision_without_a_champion_has_a_page_too():
    html = decision_report("tiny: gate", ["Passed the gate.", "No champion."], {"Frame": "f" * 8})
    for text in ("tiny: gate", "Passed the gate.", "f" * 8, "Not a medical device"):
        assert text in html


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (lambda t: t[:-1], RecordError, "same records.*240 and 239 images, 239"),
        (lambda t: t.assign(label=1 - t["label"]), RecordError, "same records"),
        (lambda t: t.assign(image_id=t["image_id"] + "x"), RecordError, "0 of them in both"),
        (lambda t: t.assign(image_id="a"), RecordError, "Duplicate image_id"),
        (lambda t: t.drop(columns="view"), RecordError, "without view"),
        (lambda t: t.assign(probability=np.nan), ModelError, "not finite"),
    ],
)
def test_tables_that_do_not_match_are_an_error(pair, change, kind, words):
    with pytest.raises(kind, match=words):
        compare(pair[0], change(pair[1]), CONFIG, 0)


def test_one_class_is_an_error(pair):
    benign = [table[table["label"] == 0] for table in pair]
    with pytest.raises(RecordError, match="both classes"):
        compare(*benign, CONFIG, 0)
