import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from mammo_core.errors import ModelError, RecipeError, RecordError
from mammo_core.evaluation.ensemble import (
    average,
    average_tables,
    ensemble_id,
    normalize_weights,
)


def test_weights_by_hand():
    assert average([[0.2, 0.8], [0.4, 0.4]]).tolist() == pytest.approx([0.3, 0.6])
    assert average([[0.2, 0.8], [0.4, 0.4]], (3, 1)).tolist() == pytest.approx([0.25, 0.7])
    assert average([[0.2], [0.4]], (1, 0)).tolist() == [0.2]
    assert average([[1.0], [1.0], [1.0]], (0.1, 0.2, 0.7)).tolist() == [1.0]
    assert normalize_weights((2, 6), 2) == (0.25, 0.75)


@pytest.mark.parametrize("weights", [(1,), (1, 2, 3), (0, 0), (1, -1), (1, np.nan), (1, np.inf)])
def test_invalid_weights_are_an_error(weights):
    with pytest.raises(RecipeError, match="one per model"):
        average([[0.2], [0.4]], weights)


def test_an_ensemble_needs_a_model():
    with pytest.raises(RecipeError):
        average([])


def test_invalid_probabilities_are_an_error():
    with pytest.raises(RecordError, match="same images"):
        average([[0.1], [0.1, 0.2]])
    with pytest.raises(ModelError, match="not finite"):
        average([[0.1], [np.nan]])
    with pytest.raises(ModelError, match="not probabilities"):
        average([[0.1], [1.1]])


def table(order, probability):
    return pd.DataFrame(
        {
            "image_id": order,
            "label": [int(name > "b") for name in order],
            "probability": probability,
        }
    )


def test_tables_are_joined_by_image_not_by_row():
    joined = average_tables(
        [table(list("abc"), [0.1, 0.2, 0.3]), table(list("cab"), [0.7, 0.5, 0])]
    )
    assert joined["image_id"].tolist() == list("abc")
    assert joined["probability"].tolist() == pytest.approx([0.3, 0.1, 0.5])


@pytest.mark.parametrize(
    "other",
    [
        table(list("abd"), [0.1] * 3),
        table(list("ab"), [0.1] * 2),
        table(list("abc"), [0.1] * 3).assign(label=1),
    ],
)
def test_tables_of_different_images_are_an_error(other):
    with pytest.raises(RecordError, match="Models 1 and 2"):
        average_tables([table(list("abc"), [0.1] * 3), other])


def test_a_duplicate_image_is_an_error():
    with pytest.raises(RecordError, match=r"Duplicate image_id.*model 2"):
        average_tables([table(list("ab"), [0.1] * 2), table(list("aa"), [0.1] * 2)])


def test_ensembles_of_independent_models_are_better():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 2000)
    scores = [1 / (1 + np.exp(-(labels + random.normal(size=2000)))) for _ in range(3)]
    best = max(roc_auc_score(labels, member) for member in scores)
    assert roc_auc_score(labels, average(scores)) > best + 0.05


def test_the_id_ignores_order_and_scale():
    assert ensemble_id(["a"]) == "a"
    assert ensemble_id(["a", "b"], (1, 3)) == ensemble_id(["b", "a"], (6, 2))
    assert ensemble_id(["a", "b"]) != ensemble_id(["a", "b"], (1, 3))
    assert len(ensemble_id(["a", "b"])) == 64
