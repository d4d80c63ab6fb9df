"""The batches of an epoch."""

import pytest
import small_training

from mammo_core.training.batches import training_batches


@pytest.mark.parametrize(
    ("records", "devices", "rows"),
    [
        ((4, 3), 1, [7]),
        ((4, 3), 2, [8]),  # fewer records than a batch: every device has a row
        ((1, 1), 3, [3]),
        ((1, 2), 8, [8]),  # filled more than once
        ((10, 3), 2, [8, 8]),
    ],
)
def test_filling_rows_have_no_weight(
    records: tuple[int, int], devices: int, rows: list[int]
) -> None:
    batches = list(
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
    assert [len(batch.images) for batch in batches] == rows
    for batch in batches:
        assert len(batch.targets) == len(batch.weights) == len(batch.images)
        assert not batch.weights[batch.count :].any()
        # Keras divides by the rows, so the weights of the records add up to the rows.
        assert batch.weights.sum() == pytest.approx(len(batch.images))
        assert batch.targets[: batch.count].sum() == batch.count
    assert sorted(name for batch in batches for name in batch.ids) == sorted(
        f"r{number}" for number in range(sum(records))
    )
