"""How many pods divide conversion and sampling: as many as their cost is worth."""

from typing import Final

#: What one more partition costs: a driver and a launcher pod for conversion and for sampling, until
#: their steps work, and their imports. Measured on Kubeflow Pipelines 2.17 with partitions that had
#: next to nothing to do: 20 s and 26 s (docs/runners.md).
PARTITION_SECONDS: Final = 45.0
#: Conversion and sampling of decoded pixels by one pod, read from an object store (MB/s).
MEGABYTES_PER_SECOND: Final = 100.0
#: A partition works so many times as long as it costs.
_WORTH: Final = 5
#: More at once would crowd out other runs, and wait for them.
_MAXIMUM: Final = 100


def choose_partition_count(pixel_bytes: int) -> int:
    """Return the number of partitions.

    Args:
        pixel_bytes: Bytes of the decoded pixels of all images, at two bytes each.
    """
    seconds = pixel_bytes / 1e6 / MEGABYTES_PER_SECOND
    return max(1, min(_MAXIMUM, int(seconds / (_WORTH * PARTITION_SECONDS))))
