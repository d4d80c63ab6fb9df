"""Batches as the training step takes them."""

import pytest
import small_training

from mammo_core.training.batches import training_batches


@pytest.mark.parametrize(
    ("records", "devices", "rows"),
    [
        ((4, 3), 1, [7]),
        ((4, 3), 2, [8]),  # fewer records than a batch: no device is without a row
        ((1, 1), 3, [3]),
        ((1, 2), 8, [8]),  # filled up more than once
        ((10, 3), 2, [8, 8]),
    ],
)
def test_filling_rows_have_no_weight(
    records: tuple[int, int], devices: int, rows: list[int]
) -> None:
    steps = list(
        training_batches(
            small_training.Records(records),
            0,
            small_training.to_network,
            small_training.config(balance=None, augmentation=None),
            1,
            small_training.NAMES,
            1,
            devices=devices,
        )
    )
    assert [len(step.images) for step in steps] == rows
    for step in steps:
        assert len(step.targets) == len(step.weights) == len(step.images)
        assert not step.weights[step.count :].any()
        # Keras divides by the rows: together the records weigh as much as they are.
        assert step.weights.sum() == pytest.approx(len(step.images))
        assert step.targets[: step.count].sum() == step.count
    assert sorted(name for step in steps for name in step.ids) == sorted(
        f"r{number}" for number in range(sum(records))
    )
