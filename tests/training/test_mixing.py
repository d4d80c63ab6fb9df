"""Records of several sources are drawn as often as the weights say: measured."""

from collections import Counter

import numpy as np
import pytest

from mammo_core.datasets.batches import Batch
from mammo_core.errors import ModelError
from mammo_core.training.mixing import MixedSource, SourceMixing

#: (source, class) → number of records: the sources are of different sizes and prevalences.
COUNTS = {("film", 0): 60, ("film", 1): 20, ("digital", 0): 300, ("digital", 1): 20}
LABELS = {f"{name}-{label}-{at}": label for (name, label), n in COUNTS.items() for at in range(n)}
NAMES = {id: id.split("-")[0] for id in LABELS}
EPOCHS = 40


class Records:
    """The records in batches of 16; a pixel each."""

    size = len(LABELS)
    class_counts = (360, 40)

    def batches(self, epoch):
        ids = np.random.default_rng(epoch).permutation(sorted(LABELS))
        for start in range(0, len(ids), 16):
            chosen = [str(id) for id in ids[start : start + 16]]
            labels = np.array([LABELS[id] for id in chosen], np.int32)
            yield Batch(chosen, np.zeros((len(chosen), 1, 1), np.uint16), labels)


def mixed(mixing, **weights):
    config = SourceMixing(mixing=mixing, weights=weights)
    return MixedSource(Records(), 3, LABELS, NAMES, config)


def shares_of(source):
    drawn = Counter()
    for epoch in range(EPOCHS):
        for batch in source.batches(epoch):
            for id, label in zip(batch.ids, batch.labels, strict=True):
                drawn[NAMES[id.partition("#")[0]], int(label)] += 1
    total = sum(drawn.values())
    return {group: count / total for group, count in drawn.items()}


@pytest.mark.parametrize(
    ("mixing", "weights", "expected"),
    [
        ("classes", (1, 1), (0.25, 0.25, 0.25, 0.25)),
        ("classes", (3, 1), (0.375, 0.375, 0.125, 0.125)),
        ("sources", (1, 1), (0.375, 0.125, 0.46875, 0.03125)),
        ("sources", (1, 3), (0.1875, 0.0625, 0.703125, 0.046875)),
    ],
)
def test_the_share_of_batches_by_source_and_class_is_as_set(mixing, weights, expected):
    source = mixed(mixing, film=weights[0], digital=weights[1])
    shares = shares_of(source)
    for group, share in zip(COUNTS, expected, strict=True):
        assert shares[group] == pytest.approx(share, abs=0.01), group
    of_class = tuple(round(400 * sum(s for (_, k), s in shares.items() if k == c)) for c in (0, 1))
    assert source.class_counts == pytest.approx(of_class, abs=4)
    assert source.size == 400


def test_each_batch_has_both_sources():
    source = mixed("classes", film=1, digital=1)
    for batch in list(source.batches(0))[:-1]:
        assert {NAMES[id.partition("#")[0]] for id in batch.ids} == {"film", "digital"}


def test_an_epoch_is_the_same_again():
    one, two = mixed("classes", film=1, digital=2), mixed("classes", film=1, digital=2)
    assert [b.ids for b in one.batches(5)] == [b.ids for b in two.batches(5)]
    assert [b.ids for b in one.batches(5)] != [b.ids for b in one.batches(6)]


def test_a_training_source_without_records_is_an_error():
    with pytest.raises(ModelError, match="The source scanner has no record to train on"):
        mixed("classes", film=1, digital=1, scanner=1)
