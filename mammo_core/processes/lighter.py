"""Whether this attempt works in smaller batches, because an earlier one ended without a word.

Smaller batches of work need less memory and more time: one worker reads and converts, a network
predicts fewer images at a time, and a training computes the outputs within its blocks twice instead
of keeping them. The batches that a network learns from stay as they are. The bytes of datasets are
the same; what a network computes is the same up to rounding, as on another machine.
"""

import os
from typing import Final

#: Environment variable: set to 1 in a process that repeats what the kernel ended.
LIGHTER: Final = "MAMMO_LIGHTER"
#: Environment variable: how often Kubeflow Pipelines has tried this pod before.
RETRY_INDEX: Final = "KFP_RETRY_INDEX"


def works_lighter() -> bool:
    """Return whether the work is done in smaller batches."""
    retry = os.environ.get(RETRY_INDEX, "")
    return os.environ.get(LIGHTER) == "1" or (retry.isdecimal() and int(retry) > 0)


def lighter_batch(size: int) -> int:
    """Return how many items are worked on at a time, of `size` where memory is no concern."""
    return max(1, size // 4) if works_lighter() else size
