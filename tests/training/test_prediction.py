"""Predictions for a set of records, and the metrics of the validation set."""

import numpy as np
import pytest
from fit_helpers import Records, network, to_network

from mammo_core.errors import ModelError
from mammo_core.training import predict


def test_auc_of_several_classes_is_the_mean_of_each_against_the_rest() -> None:
    from sklearn.metrics import roc_auc_score

    from mammo_core.training.validation import validate

    model = network(classes=3)
    source = Records((5, 5, 6), shuffle=False)
    row = validate(model, source, to_network, ["a", "b", "c"])
    _, probabilities, labels = predict(model, source, to_network)
    expected = roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    assert row["val_auc"] == pytest.approx(expected, abs=1e-6)


def test_prediction_with_flips_is_the_mean_of_four() -> None:
    model = network()
    source = Records((6, 5), shuffle=False)
    ids, probabilities, labels = predict(model, source, to_network, flips=True)
    x = to_network(source.pixels)
    views = [x, x[:, :, ::-1], x[:, ::-1], x[:, ::-1, ::-1]]
    expected = np.mean([model.predict_on_batch(view) for view in views], axis=0)
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-5)
    assert ids == [f"record-{number}" for number in range(11)]
    assert labels.tolist() == source.labels.tolist()
    assert probabilities.dtype == np.float32
    with pytest.raises(ModelError, match="no records to predict"):
        predict(model, Records((0, 0)), to_network)
