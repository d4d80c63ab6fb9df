"""How the paths of image files are made of the cells of a table, found in a listing."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mammo_core.sources.files.image_files import SUFFIXES
from mammo_core.sources.tables.text_table import TextColumn

#: Rows that are compared with files, and files that a row is compared with.
_ROWS: Final = 300
_FILES: Final = 40
#: A cell in more files than this says little about its own.
_COMMON: Final = 2_000
_TOKEN: Final = re.compile(r"[^/_\-. ]+|[/_\-. ]")


@dataclass(frozen=True)
class PathForm:
    """How paths are made.

    Args:
        text: A template for `source.table.paths`; empty: the column has the path itself.
        column: The column that has the path itself; empty with a template.
        existing: Rows whose file exists.
        rows: Rows that were compared.
    """

    text: str
    column: str
    existing: int
    rows: int


def find_path_form(
    cells: Mapping[str, TextColumn], names: Sequence[str], preferred: str | None
) -> PathForm | None:
    """Return how most rows name an existing file; None if none does.

    Args:
        cells: Column as spelled → its cells.
        names: Files under the image folder.
        preferred: The column that is the image path by its name.
    """
    images = [name for name in names if name.lower().endswith(SUFFIXES)]
    existing = set(images)
    columns = list(cells)
    if preferred is not None:
        columns = [preferred, *(name for name in columns if name != preferred)]
    for name in columns:
        form = _direct(name, cells[name], existing)
        if form is not None:
            return form
    return _template(cells, columns, images)


def _direct(name: str, column: TextColumn, existing: set[str]) -> PathForm | None:
    """Return the form of a column of paths, if any row names an existing file."""
    plain = [word.replace("\\", "/").removeprefix("./") for word in column.words]
    exists = [word in existing for word in plain]
    count = sum(exists[code] for code in column.codes)
    if not count:
        return None
    changed = any(new != word for new, word in zip(plain, column.words, strict=True))
    text = f"{{{name}}}" if changed else ""
    return PathForm(text, "" if changed else name, count, len(column.codes))


def _template(
    cells: Mapping[str, TextColumn], columns: Sequence[str], images: Sequence[str]
) -> PathForm | None:
    files_of: dict[str, list[str]] = defaultdict(list)
    for path in images:
        for token in {_bare(token) for token in _TOKEN.findall(path)}:
            files_of[token].append(path)
    rows = len(next(iter(cells.values())).codes)
    step = max(1, rows // _ROWS)
    votes: Counter[str] = Counter()
    for row in range(0, rows, step):
        stated = {name: cells[name].words[cells[name].codes[row]] for name in columns}
        votes.update(set(_forms(stated, files_of)))
    best: PathForm | None = None
    for text, _ in votes.most_common(20):
        count = len(_existing(text, cells, rows, set(images)))
        if best is None or count > best.existing:
            best = PathForm(text, "", count, rows)
    return best if best is not None and best.existing else None


def _bare(token: str) -> str:
    return token.lstrip("0") if token.isdigit() else token


def _forms(stated: Mapping[str, str], files_of: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the templates that make a file of the cells of a row."""
    by_token: dict[str, str] = {}
    for name, cell in stated.items():
        by_token.setdefault(_bare(cell), name)
    by_token.pop("", None)
    candidates: Counter[str] = Counter()
    for cell in by_token:
        tokens = [_bare(token) for token in _TOKEN.findall(cell)]
        files = min((files_of.get(token, ()) for token in tokens), key=len, default=())
        if len(files) <= _COMMON:
            candidates.update(files)
    # The files that have most of the cells of the row.
    return [
        form
        for path, _ in candidates.most_common(_FILES)
        if (form := _form(path, stated, by_token)) is not None
    ]


def _form(path: str, stated: Mapping[str, str], by_token: Mapping[str, str]) -> str | None:
    text, has_field = "", False
    rest = path
    compound = sorted(
        (name for name, cell in stated.items() if len(_TOKEN.findall(cell)) > 1),
        key=lambda name: -len(stated[name]),
    )
    while rest:
        name = next((n for n in compound if _starts(rest, stated[n], text)), None)
        if name is not None:
            text, rest, has_field = f"{text}{{{name}}}", rest[len(stated[name]) :], True
            continue
        match = _TOKEN.match(rest)
        token = match[0] if match is not None else rest[0]
        name = by_token.get(_bare(token))
        if name is None:
            if "{" in token or "}" in token:
                return None
            text += token
        else:
            has_field = True
            padded = token != stated[name]
            text += f"{{{name}:0>{len(token)}}}" if padded else f"{{{name}}}"
        rest = rest[len(token) :]
    return text if has_field else None


def _starts(rest: str, cell: str, before: str) -> bool:
    """Whether a cell of several words begins here, and ends where a word ends."""
    if not rest.startswith(cell) or (before and before[-1] not in "/_-. }"):
        return False
    return len(rest) == len(cell) or rest[len(cell)] in "/_-. "


def _existing(
    text: str, cells: Mapping[str, TextColumn], rows: int, existing: set[str]
) -> set[str]:
    parts = re.split(r"\{([^{}:]+)(?::(0>\d+))?\}", text)
    paths: set[str] = set()
    for row in range(rows):
        path = parts[0]
        for at in range(1, len(parts), 3):
            column = cells[parts[at]]
            path += format(column.words[column.codes[row]], parts[at + 1] or "") + parts[at + 2]
        if path in existing:
            paths.add(path)
    return paths
