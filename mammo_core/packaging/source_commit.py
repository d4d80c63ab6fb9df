"""The commit of the source tree: packages record it, and container images are tagged with it."""

import os
import subprocess
from pathlib import Path


def git_sha(tree: Path = Path(__file__).parents[2]) -> str | None:
    """Return the commit of a source tree.

    Args:
        tree: Root of the checkout.

    Returns:
        MAMMO_GIT_SHA, which container images set; or the sha of the last commit; None where there
        is no git, no checkout or no commit.
    """
    if given := os.environ.get("MAMMO_GIT_SHA"):
        return given
    # A tree without a checkout of its own may lie in another repository, whose sha says nothing.
    line = ["git", "-C", str(tree), "rev-parse", "--show-toplevel", "HEAD"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(line, capture_output=True, text=True, check=False, env=environment)
    except OSError:
        return None
    top, _, sha = done.stdout.strip().partition("\n")
    return sha if done.returncode == 0 and Path(top).resolve() == tree.resolve() else None
