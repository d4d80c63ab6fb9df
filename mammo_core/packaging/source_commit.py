"""The commit of the source tree that builds a package."""

import os
import subprocess
from pathlib import Path


def git_sha() -> str:
    """Return MAMMO_GIT_SHA (container images set it), the commit of this tree, or `unknown`."""
    if sha := os.environ.get("MAMMO_GIT_SHA"):
        return sha
    try:
        result = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return "unknown"
    return result.stdout.strip() or "unknown"
