"""How many pods the bytes of a source are worth."""

import pytest

from mammo_core.ingest.partition_count import (
    MEGABYTES_PER_SECOND,
    PARTITION_SECONDS,
    choose_partition_count,
)

IMAGE = 4664 * 3064 * 2


@pytest.mark.parametrize(
    ("images", "count"),
    [
        (0, 1),
        (500, 1),  # two and a half minutes of work
        (3_103, 3),  # CBIS-DDSM
        (20_000, 25),  # VinDr-Mammo
        (480_000, 100),  # EMBED: more at once would crowd out other runs
    ],
)
def test_partitions_are_worth_their_cost(images, count):
    assert choose_partition_count(images * IMAGE) == count


def test_no_partition_costs_more_than_a_fifth_of_its_work():
    for images in range(0, 100_000, 1_000):
        count = choose_partition_count(images * IMAGE)
        work = images * IMAGE / 1e6 / MEGABYTES_PER_SECOND / count
        assert count == 1 or work >= 5 * PARTITION_SECONDS
