"""Sample weights by class, and prefetching."""

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mammo_core.training.balance import sample_weights
from mammo_core.training.memory.prefetch import prefetch

REAL = Path(
    os.environ.get("MAMMO_REAL_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)


def test_batch_weights_by_hand() -> None:
    labels = np.array([0, 0, 0, 1], np.int32)
    weights = sample_weights("batch_weights", labels, (10, 10, 10))
    assert weights.tolist() == pytest.approx([4 / 3, 4 / 3, 4 / 3, 4])
    assert weights.mean() == pytest.approx(2)  # the number of classes present
    assert weights.dtype == np.float32


@pytest.mark.real
def test_batch_weights_of_the_original() -> None:
    path = REAL / "original_golden" / "generators.json"
    if not path.is_file():
        pytest.skip(f"no {path}")
    example = json.loads(path.read_text())["batch_balance_example"]
    labels = np.array(example["labels"], np.int32)
    classes = tuple(np.bincount(labels).tolist())
    assert sample_weights("batch_weights", labels, classes).tolist() == pytest.approx(
        example["weights"]
    )


def test_class_weights() -> None:
    labels = np.array([0, 1, 1], np.int32)
    weights = sample_weights("class_weights", labels, (30, 10))
    assert weights.tolist() == pytest.approx([40 / 60, 2, 2])
    # Over the whole set the mean weight is 1 and the classes have equal weight.
    assert 30 * weights[0] == pytest.approx(10 * weights[1])


def test_no_balance() -> None:
    assert sample_weights(None, np.array([0, 1], np.int32), (3, 1)).tolist() == [1, 1]


def test_prefetch_keeps_the_order() -> None:
    assert list(prefetch(iter(range(100)))) == list(range(100))
    assert list(prefetch(iter(()))) == []


def test_prefetch_raises_errors_in_order() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken record")

    reader = prefetch(items())
    assert next(reader) == 1
    with pytest.raises(ValueError, match="broken record"):
        next(reader)


def test_prefetch_ends_its_thread() -> None:
    drawn = []

    def items() -> Iterator[int]:
        for number in range(1000):
            drawn.append(number)
            yield number

    reader = prefetch(items(), depth=2)
    next(reader)
    reader.close()
    count = len(drawn)
    time.sleep(0.05)
    assert len(drawn) == count <= 5
    assert not [t for t in threading.enumerate() if t.name == "prefetch"]
