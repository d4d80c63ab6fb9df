"""`python -m mammo_core.packaging.selfcheck FOLDER`: a package proves itself in a new process.

Only an entry point: the function is `mammo_core.packaging.selfcheck`.
"""

import sys
from pathlib import Path

from mammo_core.errors import MammoError
from mammo_core.packaging.package import selfcheck as run
from mammo_core.processes import follow_parent


def main(arguments: list[str]) -> int:
    """Check the package in the one folder given; returns the exit code."""
    if len(arguments) != 1:
        print("usage: python -m mammo_core.packaging.selfcheck FOLDER", file=sys.stderr)
        return 2
    try:
        follow_parent()
        result = run(Path(arguments[0]))
    except MammoError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(
        f"{result.samples} samples reproduced, largest difference {result.largest_difference:.2g}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
