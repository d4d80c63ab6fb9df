"""Check a package in a process that shares nothing with the one that built it."""

import sys
from pathlib import Path

from mammo_core.errors import ModelError
from mammo_core.processes import run_process


def check_in_fresh_process(folder: Path) -> None:
    """Load a package in a new process and reproduce its expected outputs there.

    Args:
        folder: Of the package.

    Raises:
        ModelError: It does not load, or gives other probabilities.
    """
    result = run_process([sys.executable, "-m", "mammo_core.packaging.selfcheck", str(folder)])
    if not result.succeeded:
        raise ModelError(
            "The package does not reproduce its own expected outputs in a fresh process",
            expected="the probabilities in expected.npz",
            received=result.failure,
        )
