"""Which files the cells of the case tables mean: by names, then by headers."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mammo_core.sources.cases import Case
from mammo_core.sources.source_files import SourceFiles
from mammo_core.sources.tree import Tree

#: Reads the Series Instance UIDs of files, in their order.
ReadUids = Callable[[list[str]], Iterable[str]]


@dataclass(frozen=True)
class Located:
    """Where the cells of the case tables lie.

    Args:
        files: Cell → files relative to the root, the likeliest first; maybe none.
        ways: How cells were found (path, folder, series_uid, nowhere) → how many.
        other_files: Files that look like images and that no cell means.
    """

    files: dict[str, list[str]]
    ways: dict[str, int]
    other_files: int


def locate(rows: list[Case], files: SourceFiles, read_uids: ReadUids | None = None) -> Located:
    """Find the files of all image, mask and crop cells.

    Args:
        rows: What `read_case_rows` returns.
        files: The files of the source.
        read_uids: Reads the headers of the files that no name explains, when there are such
            files and cells that nothing was found for; None looks at names only.
    """
    cells = list(
        dict.fromkeys(
            str(row[column]) for row in rows for column in ("image_path", "mask_path", "crop_path")
        )
    )
    tree = Tree(files.entries, {cell.split("/", 1)[0] for cell in cells})
    found: dict[str, list[str]] = {}
    ways: Counter[str] = Counter(path=0, folder=0, series_uid=0, nowhere=0)
    lost: list[str] = []
    for cell in cells:
        found[cell], way = tree.find(cell)
        if way == "nowhere":
            lost.append(cell)
        else:
            ways[way] += 1
    strangers = tree.strangers
    used: set[str] = set()
    if lost and strangers and read_uids is not None:
        of_series: dict[str, list[str]] = {}
        for name, uid in zip(strangers, read_uids(strangers), strict=True):
            if uid:
                of_series.setdefault(uid, []).append(name)
        for cell in lost:
            own = of_series.get(cell.split("/")[2], [])
            file = cell.rsplit("/", 1)[1]
            found[cell] = sorted(own, key=lambda path: (path.rsplit("/", 1)[-1] != file, path))
            ways["series_uid"] += bool(own)
            used.update(own)
    ways["nowhere"] = sum(not found[cell] for cell in lost)
    return Located(found, dict(ways), len(strangers) - len(used))


def count_missing(rows: list[Case], located: Located) -> dict[str, Any]:
    """Count what the tables name and no file was found for.

    Args:
        rows: What `read_case_rows` returns.
        located: Where their cells lie.

    Returns:
        images (different image cells without a file), views (without any file of theirs),
        lesions (rows without any file for mask and crop).
    """
    cells = {str(row["image_path"]) for row in rows}
    views: dict[str, bool] = {}
    for row in rows:
        there = bool(located.files[row["image_path"]])
        views[row["view_id"]] = views.get(row["view_id"], False) or there
    return {
        "images": sum(not located.files[cell] for cell in cells),
        "views": sum(not there for there in views.values()),
        "lesions": sum(
            not located.files[row["mask_path"]] and not located.files[row["crop_path"]]
            for row in rows
        ),
    }
