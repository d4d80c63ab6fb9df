"""Find the files that the case tables name, in every layout they are found in.

The first folder of a cell (`Mass-Training_P_00001_LEFT_CC`, lesions with `_1` after it) is in
every layout, with any number of collection folders above it. Below it lie:

* original: `<study UID>/<series UID>/000000.dcm`;
* NBIA Data Retriever: `<date>-DDSM-<5 digits>/<n>-<description>-<5 digits>/1-1.dcm`, where
  the five digits are the last five of the study and of the series UID;
* PNG trees (the fork of the original): folders of any name, or none, and `000000.png`.

File names are no guide: 000000 and 000001, 1-1 and 1-2 come in either order. In the official
tables a first folder stands for one mammogram, or for the mask and the crop of one lesion.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

#: An image file ends so, or has no suffix at all.
_SUFFIXES: Final = ("dcm", "dicom", "png", "tif", "tiff")


class Tree:
    """The image files under a root, by the paths of the case tables.

    Args:
        names: Names of all files under the root, posix.
        first_folders: The first folders of all cells.
    """

    def __init__(self, names: Iterable[str], first_folders: set[str]) -> None:
        self._below: dict[str, list[str]] = defaultdict(list)
        self._other: list[str] = []
        for name in sorted(names):
            *folders, file = name.split("/")
            if "." in file and file.rsplit(".", 1)[1].lower() not in _SUFFIXES:
                continue
            first = next((folder for folder in folders if folder in first_folders), None)
            if first is None:
                self._other.append(name)
            else:
                self._below[first].append(name)

    @property
    def strangers(self) -> list[str]:
        """Image files that are under no first folder: their headers may say what they are."""
        return self._other

    def find(self, cell: str) -> tuple[list[str], str]:
        """Return the image files that a cell names, and how they were found.

        Args:
            cell: A path of the case tables, of four parts.

        Returns:
            Paths relative to the root, posix, a file of the cell's own name first; and
            `path` (study and series as in the table, or their last five digits), `folder`
            (whatever is under the first folder) or `nowhere`.
        """
        first, study, series, file = cell.split("/")
        below = self._below.get(first, [])
        found, way = [name for name in below if _fits(name, first, study, series)], "path"
        if not found:
            found, way = below, "folder" if below else "nowhere"
        return sorted(found, key=lambda path: (path.rsplit("/", 1)[1] != file, path)), way

    def files(self, cell: str) -> list[str]:
        """Return the image files that a cell names, as `find` does.

        Args:
            cell: A path of the case tables, of four parts.
        """
        return self.find(cell)[0]


def _fits(name: str, first: str, study: str, series: str) -> bool:
    parts = name.split("/")
    below = parts[parts.index(first) + 1 : -1]
    return len(below) == 2 and _is(below[0], study) and _is(below[1], series)


def _is(folder: str, uid: str) -> bool:
    return folder == uid or folder.endswith(f"-{uid[-5:]}")
