"""The tag of the container images that belong to this source tree.

Run as a script it prints the tag: `make images`, `scripts/kind` and the commands of
`mammo pipeline` all ask here. It needs nothing but Python and git.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

#: Characters of the git sha that make a tag.
TAG_LENGTH = 12


def source_tag(tree: Path = Path(__file__).parent.parent) -> str | None:
    """Return the tag of the images built from a source tree: the git sha of its last commit.

    Args:
        tree: Root of the checkout.

    Returns:
        12 characters of the sha; or MAMMO_GIT_SHA, the tag that an image was built with; None
        where there is no git, no checkout or no commit.
    """
    given = os.environ.get("MAMMO_GIT_SHA")
    if given:
        return given[:TAG_LENGTH] if re.fullmatch(r"[0-9a-f]{40}", given) else given
    # A tree without a checkout of its own may lie in another repository, whose sha says nothing.
    line = ["git", "-C", str(tree), "rev-parse", "--show-toplevel", "HEAD"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(line, capture_output=True, text=True, check=False, env=environment)
    except OSError:
        return None
    top, _, sha = done.stdout.strip().partition("\n")
    if done.returncode != 0 or Path(top).resolve() != tree.resolve():
        return None
    return sha[:TAG_LENGTH]


if __name__ == "__main__":
    tag = source_tag()
    if tag is None:
        sys.exit("There is no image tag. Expected a git checkout with a commit. Received none.")
    print(tag)
