"""Find the files that the case tables name, in the original or in the NBIA folder layout.

Original: `<first folder>/<study UID>/<series UID>/000000.dcm`. NBIA Data Retriever:
`<first folder>/<date>-DDSM-<5 digits>/<n>-<description>-<5 digits>/1-1.dcm`, where the five
digits are the last five of the study and of the series UID. Any number of collection
folders may lie above the first folder. File names are no guide: 000000 and 000001, 1-1 and
1-2 come in either order.
"""

import os
from pathlib import Path

from mammo_core.errors import SourceError

_SUFFIXES = (".dcm", ".png", ".tif", ".tiff")


class Tree:
    """The image files under a root, by the paths of the case tables.

    Only names that a listing shows are ever opened, so a cell cannot lead out of the root.

    Args:
        root: Folder of the images.
        first_folders: The first folders of all cells.

    Raises:
        SourceError: The root is no folder.
    """

    def __init__(self, root: Path, first_folders: set[str]) -> None:
        if not root.is_dir():
            raise SourceError(
                f"The image folder {root} cannot be opened",
                expected="a folder with the images of the case tables",
                received="no folder of that name",
            )
        self._root = root
        self._folders: dict[str, list[str]] = {}
        self._listings: dict[str, tuple[list[str], list[str]]] = {}
        pending = [""]
        visited: set[str] = set()
        while pending:
            place = pending.pop()
            real = os.path.realpath(root / place)
            if real in visited:
                continue  # A link that leads back.
            visited.add(real)
            for name in self._list(place)[0]:
                path = f"{place}/{name}" if place else name
                if name in first_folders:
                    self._folders.setdefault(name, []).append(path)
                else:
                    pending.append(path)

    def files(self, cell: str) -> list[str]:
        """Return the image files of the series that a cell names.

        Args:
            cell: A path of the case tables, of four parts.

        Returns:
            Paths relative to the root, posix; a file of the cell's own name comes first.
        """
        first, study, series, file = cell.split("/")
        found: list[str] = []
        for folder in sorted(self._folders.get(first, [])):
            for study_folder in self._matching(folder, study):
                for series_folder in self._matching(study_folder, series):
                    for name in self._list(series_folder)[1]:
                        found.append(f"{series_folder}/{name}")
        return sorted(found, key=lambda path: (path.rsplit("/", 1)[1] != file, path))

    def _matching(self, folder: str, uid: str) -> list[str]:
        names = self._list(folder)[0]
        if uid in names:
            return [f"{folder}/{uid}"]
        return [f"{folder}/{name}" for name in names if name.endswith(f"-{uid[-5:]}")]

    def _list(self, folder: str) -> tuple[list[str], list[str]]:
        """Return the names of the folders and of the image files in a folder, sorted."""
        if folder not in self._listings:
            folders, files = [], []
            with os.scandir(self._root / folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        folders.append(entry.name)
                    elif entry.name.lower().endswith(_SUFFIXES):
                        files.append(entry.name)
            self._listings[folder] = (sorted(folders), sorted(files))
        return self._listings[folder]
