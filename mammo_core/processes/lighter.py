"""Whether this attempt works in smaller batches, because an earlier one ended without a word.

Smaller batches of work need less memory and more time, and give the same result.
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
