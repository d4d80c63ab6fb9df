"""The tag of the container images that belong to this source tree.

Run as a script it prints the tag: `make images`, `scripts/kind` and the commands of
`mammo pipeline` all ask here. It needs nothing but Python and git.
"""

import os
import subprocess
import sys
from pathlib import Path

#: Characters of the git sha that make a tag.
TAG_LENGTH = 12


def source_tag(tree: Path = Path(__file__).parent) -> str | None:
    """Return the tag of the images built from a source tree: the git sha of its last commit.

    Args:
        tree: A folder of the checkout.

    Returns:
        12 characters of the sha, or of MAMMO_GIT_SHA, which the images set; None where there
        is no git, no checkout or no commit.
    """
    given = os.environ.get("MAMMO_GIT_SHA")
    if given:
        return given[:TAG_LENGTH]
    line = ["git", "-C", str(tree), "rev-parse", "--verify", "--quiet", "HEAD"]
    try:
        done = subprocess.run(line, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip()[:TAG_LENGTH] if done.returncode == 0 else None


if __name__ == "__main__":
    tag = source_tag()
    if tag is None:
        sys.exit("There is no image tag. Expected a git checkout with a commit. Received none.")
    print(tag)
