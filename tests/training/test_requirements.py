"""Sets and stages that training rejects or warns about."""

from typing import Any

import pytest
from fit_helpers import NAMES, Records, fit, network, stage

from mammo_core.errors import ModelError
from mammo_core.training.requirements import training_warnings


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"train": Records((9, 0))}, "training set has no record of class bright"),
        ({"train": Records((0, 0))}, "training set is empty"),
        ({"validation": Records((0, 0))}, "validation set is empty"),
        (
            {"validation": Records((0, 5)), "selection": "auc"},
            "validation set has no record of class dark",
        ),
        ({"train": Records((4, 4, 4))}, "classes of the training set are not those of compact"),
        ({"class_names": ["a", "b", "c"]}, "classes of the training set"),
        ({"stages": [stage(epochs=0)]}, "nothing to train"),
        ({"stages": [stage(train=("block9",))]}, "no block 'block9'"),
    ],
)
def test_unusable_sets_and_stages_are_rejected(arguments: dict[str, Any], message: str) -> None:
    arguments = dict(arguments)
    with pytest.raises(ModelError, match=message):
        fit(network(), arguments.pop("stages", [stage()]), **arguments)


def test_the_error_of_an_invalid_label_names_its_record() -> None:
    source = Records((4, 4), shuffle=False)
    source.labels[5] = 7
    with pytest.raises(ModelError, match="record-5 has a label that is not a class"):
        fit(network(), [stage()], train=source)


def test_a_class_missing_from_validation_is_a_warning_for_accuracy() -> None:
    result = fit(network(), [stage(train="head")], validation=Records((5, 0)))
    assert result.warnings == ["The validation set has no record of class bright."]
    assert result.history[0]["val_auc"] is None
    assert list(result.history[0]["val_recall"]) == ["dark"]


def test_one_of_several_classes_missing_from_training_is_a_warning() -> None:
    result = fit(
        network(3),
        [stage(train="head")],
        train=Records((4, 4, 0)),
        validation=Records((2, 2, 2)),
        class_names=["dark", "bright", "other"],
    )
    assert result.warnings == ["The training set has no record of class other."]


def test_training_from_scratch_with_frozen_layers_is_a_warning() -> None:
    validation = Records((2, 2))
    frozen = training_warnings(
        [stage(train="head")], validation, validation, NAMES, from_scratch=True
    )
    assert "starts from random weights" in frozen[0]
    assert not training_warnings([stage()], validation, validation, NAMES, from_scratch=True)
    assert not training_warnings(
        [stage(train="head")], validation, validation, NAMES, from_scratch=False
    )
