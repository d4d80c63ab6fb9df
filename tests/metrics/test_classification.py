import numpy as np
import pytest
from sklearn.metrics import confusion_matrix as sklearn_confusion
from sklearn.metrics import roc_auc_score

from mammo_core.errors import ModelError, RecordError
from mammo_core.metrics import accuracy, confusion_matrix, one_against_rest_auc


def test_against_scikit_learn():
    random = np.random.default_rng(0)
    labels, predicted = random.integers(0, 4, 200), random.integers(0, 4, 200)
    assert accuracy(labels, predicted) == pytest.approx((labels == predicted).mean())
    expected = sklearn_confusion(labels, predicted, labels=range(5))
    assert (confusion_matrix(labels, predicted, 5) == expected).all()
    probabilities = random.dirichlet(np.ones(5), 200)
    aucs = one_against_rest_auc(labels, probabilities)
    assert aucs[4] is None
    for index in range(4):
        assert aucs[index] == pytest.approx(roc_auc_score(labels == index, probabilities[:, index]))


def test_rows_are_true_classes():
    assert confusion_matrix([0, 0, 1], [1, 1, 1], 2).tolist() == [[0, 2], [0, 1]]


@pytest.mark.parametrize(
    ("labels", "predicted"), [([], []), ([0, 1], [0]), ([0, 5], [0, 1]), ([0, -1], [0, 1])]
)
def test_invalid_class_indices_are_an_error(labels, predicted):
    with pytest.raises(RecordError):
        confusion_matrix(labels, predicted, 2)


def test_probabilities_must_match_and_be_finite():
    with pytest.raises(RecordError, match="do not match"):
        one_against_rest_auc([0, 1], [[0.5, 0.5]])
    with pytest.raises(ModelError):
        one_against_rest_auc([0, 1], [[0.5, 0.5], [np.nan, 0.5]])
