"""The tag of the container images that belong to this source tree.

`python3 -m pipelines.image_tag` prints the tag: `make images`, `scripts/kind` and the commands of
`mammo pipeline` all ask here. It needs nothing but Python and git.
"""

import re
import sys
from pathlib import Path

from mammo_core.packaging.source_commit import git_sha

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
    sha = git_sha(tree)
    return sha[:TAG_LENGTH] if sha and re.fullmatch(r"[0-9a-f]{40}", sha) else sha


if __name__ == "__main__":
    tag = source_tag()
    if tag is None:
        sys.exit("There is no image tag. Expected a git checkout with a commit. Received none.")
    print(tag)
