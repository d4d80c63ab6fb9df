"""A package proves itself in a process that knows nothing of how it was made."""

import subprocess
import sys
from pathlib import Path

from mammo_core.errors import ModelError


def check_in_fresh_process(folder: Path) -> None:
    """Load a package in a new process and reproduce its expected outputs there.

    Args:
        folder: Of the package.

    Raises:
        ModelError: It does not load, or gives other probabilities.
    """
    done = subprocess.run(
        [sys.executable, "-m", "mammo_core.packaging.selfcheck", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise ModelError(
            "The package does not reproduce its own expected outputs in a fresh process",
            expected="the probabilities in expected.npz",
            received=lines[-1] if lines else f"exit code {done.returncode}",
        )
