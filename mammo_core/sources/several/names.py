"""The ids of several sources in one run: each begins with the name of its source.

`clinic:P_00001` is the patient P_00001 of the source `clinic`. Whoever compares patients of
different runs, in which a source may have another name or none, compares what follows the name.
"""

import re
from typing import Final

#: A name of a source.
NAME_PATTERN: Final = r"[a-z0-9][a-z0-9_-]*"
#: Column of tables of several sources with the name of each image's source.
NAME_COLUMN: Final = "source_name"
#: Role of a source that no training sees, and the split of its images.
EXTERNAL: Final = "external"
_NAMED: Final = re.compile(rf"({NAME_PATTERN}):(.+)", re.DOTALL)


def named_id(name: str, id: str) -> str:
    """Return the id of something of a source among several; an empty id stays empty.

    Args:
        name: Name of the source.
        id: Its id within the source: of a patient, exam, view or lesion.
    """
    return f"{name}:{id}" if id else ""


def name_of(id: str) -> str:
    """Return the name of the source in an id; empty for an id of a run with one source.

    Args:
        id: An id of a patient, exam, view or lesion.
    """
    match = _NAMED.fullmatch(id)
    return match[1] if match else ""


def plain_id(id: str) -> str:
    """Return an id as it is within its source.

    Args:
        id: An id of a patient, exam, view or lesion.
    """
    match = _NAMED.fullmatch(id)
    return match[2] if match else id


def named_path(name: str, path: str) -> str:
    """Return the path of a file of a source among several: `<name>/<path>`.

    Args:
        name: Name of the source.
        path: The path, relative to the root of the source.
    """
    return f"{name}/{path}"


def split_path(path: str) -> tuple[str, str]:
    """Return the name of the source in a path, and the path relative to its root.

    Args:
        path: As `named_path` returns it.
    """
    name, _, rest = path.partition("/")
    return name, rest
