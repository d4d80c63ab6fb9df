"""Find the files that the case tables name, in every layout CBIS-DDSM is distributed in.

The first folder of a cell (`Mass-Training_P_00001_LEFT_CC`, lesions with `_1` after it) is in
every layout, with any number of collection folders above it. Below it are:

* original: `<study UID>/<series UID>/000000.dcm`;
* NBIA Data Retriever: `<date>-DDSM-<5 digits>/<n>-<description>-<5 digits>/1-1.dcm`, where
  the five digits are the last five of the study and of the series UID;
* PNG trees (the fork of the original): folders of any name, or none, and `000000.png`.

File names do not identify a file: 000000 and 000001, 1-1 and 1-2 come in either order. In the
official tables a first folder is one mammogram, or the mask and the crop of one lesion. Files
that no name explains are identified by the Series Instance UID in their headers.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from mammo_core.sources.adapters.cbis_ddsm.case_tables import Case
from mammo_core.sources.files.source_files import SourceFiles

#: Suffixes of image files, which may also have none.
_SUFFIXES: Final = ("dcm", "dicom", "png", "tif", "tiff", "pgm")

#: Reads the Series Instance UIDs of files, in their order.
ReadUids = Callable[[list[str]], Iterable[str]]


@dataclass(frozen=True)
class CellFiles:
    """The files of the cells of the case tables.

    Args:
        files: Cell → files relative to the root, the likeliest first; maybe none.
        ways: How cells were located (path, folder, series_uid, nowhere) → how many.
        other_files: Number of files that look like images and belong to no cell.
    """

    files: dict[str, list[str]]
    ways: dict[str, int]
    other_files: int


def locate_cells(
    rows: list[Case], files: SourceFiles, read_uids: ReadUids | None = None
) -> CellFiles:
    """Find the files of all image, mask and crop cells.

    Args:
        rows: Rows of the case tables (`read_case_rows`).
        files: The files of the source.
        read_uids: Reads the headers of the files that no name explains, if there are such
            files and cells without any; None uses names only.
    """
    cells = list(
        dict.fromkeys(
            str(row[column]) for row in rows for column in ("image_path", "mask_path", "crop_path")
        )
    )
    tree = _Tree(files.entries, {cell.split("/", 1)[0] for cell in cells})
    by_cell: dict[str, list[str]] = {}
    ways: Counter[str] = Counter(path=0, folder=0, series_uid=0, nowhere=0)
    missing: list[str] = []
    for cell in cells:
        by_cell[cell], way = tree.find(cell)
        if way == "nowhere":
            missing.append(cell)
        else:
            ways[way] += 1
    used: set[str] = set()
    if missing and tree.unexplained and read_uids is not None:
        by_series: dict[str, list[str]] = {}
        for name, uid in zip(tree.unexplained, read_uids(tree.unexplained), strict=True):
            if uid:
                by_series.setdefault(uid, []).append(name)
        for cell in missing:
            names = by_series.get(cell.split("/")[2], [])
            by_cell[cell] = _same_name_first(names, cell.rsplit("/", 1)[1])
            ways["series_uid"] += bool(names)
            used.update(names)
    ways["nowhere"] = sum(not by_cell[cell] for cell in missing)
    return CellFiles(by_cell, dict(ways), len(tree.unexplained) - len(used))


def count_missing(rows: list[Case], cell_files: CellFiles) -> dict[str, Any]:
    """Count what the tables name without any file.

    Args:
        rows: Rows of the case tables (`read_case_rows`).
        cell_files: The files of their cells.

    Returns:
        images (different image cells without a file), views (without a file in any row),
        lesions (rows without a file for mask and crop).
    """
    cells = {str(row["image_path"]) for row in rows}
    views: dict[str, bool] = {}
    for row in rows:
        exists = bool(cell_files.files[row["image_path"]])
        views[row["view_id"]] = views.get(row["view_id"], False) or exists
    return {
        "images": sum(not cell_files.files[cell] for cell in cells),
        "views": sum(not exists for exists in views.values()),
        "lesions": sum(
            not cell_files.files[row["mask_path"]] and not cell_files.files[row["crop_path"]]
            for row in rows
        ),
    }


class _Tree:
    """The image files under a root, by the first folders of the case tables.

    Attributes:
        unexplained: Image files below no first folder: only their headers identify them.
    """

    def __init__(self, names: Iterable[str], first_folders: set[str]) -> None:
        self._below: dict[str, list[str]] = defaultdict(list)
        self.unexplained: list[str] = []
        for name in sorted(names):
            *folders, file = name.split("/")
            if "." in file and file.rsplit(".", 1)[1].lower() not in _SUFFIXES:
                continue
            first = next((folder for folder in folders if folder in first_folders), None)
            if first is None:
                self.unexplained.append(name)
            else:
                self._below[first].append(name)

    def find(self, cell: str) -> tuple[list[str], str]:
        """Return the image files that a cell names, and how they were located.

        Args:
            cell: A path of the case tables, of four parts.

        Returns:
            Paths relative to the root, posix, a file with the cell's file name first; and
            `path` (study and series as in the table, or their last five digits), `folder`
            (everything below the first folder) or `nowhere`.
        """
        first, study, series, file = cell.split("/")
        below = self._below.get(first, [])
        matches, way = [name for name in below if _matches(name, first, study, series)], "path"
        if not matches:
            matches, way = below, "folder" if below else "nowhere"
        return _same_name_first(matches, file), way


def _same_name_first(names: list[str], file: str) -> list[str]:
    return sorted(names, key=lambda path: (path.rsplit("/", 1)[-1] != file, path))


def _matches(name: str, first: str, study: str, series: str) -> bool:
    parts = name.split("/")
    below = parts[parts.index(first) + 1 : -1]
    return len(below) == 2 and _is_folder_of(below[0], study) and _is_folder_of(below[1], series)


def _is_folder_of(folder: str, uid: str) -> bool:
    return folder == uid or folder.endswith(f"-{uid[-5:]}")
