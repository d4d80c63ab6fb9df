"""`mammo dicom`: the content of image files, and whether they can be used."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mammo_core.dicom import ImageFacts

app = typer.Typer(no_args_is_help=True, help="Inspect image files.")


@app.callback()
def _dicom() -> None:
    """Inspect image files."""


@app.command()
def inspect(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files or folders.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line.")
    ] = False,
) -> None:
    """Check whether files can be read as mammograms and, if not, why.

    Files are decoded completely, one at a time and sorted by name in each folder. Files that are
    not images are listed too. Nothing about the patient is read or shown.
    """
    import json

    for path in _files(paths):
        result, facts = _inspect(path)
        typer.echo(json.dumps(result) if as_json else _sentence(path, result, facts))


def _files(paths: list[Path]) -> Iterator[Path]:
    """Yield the files below the paths; a path that is missing or not a folder, unchanged."""
    for path in paths:
        if path.is_dir():
            yield from _walk(path)
        else:
            yield path


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, sorted; per level, the names of one folder are in memory.

    Links to folders are not followed, because they may be circular.
    """
    try:
        with os.scandir(folder) as scan:
            entries = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in scan)
    except OSError:
        yield folder  # reported as a file that cannot be opened
        return
    for name, is_folder in entries:
        if is_folder:
            yield from _walk(folder / name)
        elif not (folder / name).is_dir():
            yield folder / name


def _inspect(path: Path) -> tuple[dict[str, Any], "ImageFacts | None"]:
    """Return the JSON object of a file, and its facts if they can be read."""
    import contextlib

    from mammo_core.dicom import read_facts, read_image
    from mammo_core.errors import DicomError

    facts: ImageFacts | None = None
    reason: str | None = None
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise DicomError(
                f"{path} is not a file", expected="a file", received="a device or pipe"
            )
        facts = read_image(path, mammogram=True).facts
    except DicomError as error:
        reason = str(error)
        with contextlib.suppress(DicomError, OSError):
            if path.is_file():
                facts = read_facts(path, for_processing=True)
    except OSError as error:
        reason = f"{path} cannot be read: {error.strerror or error}."
    values = facts.model_dump() if facts else {}
    names = (
        "transfer_syntax", "photometric", "rows", "columns", "bits_stored", "laterality", "view",
        "spacing_mm",
    )  # fmt: skip
    result = {
        "path": str(path),
        "readable": reason is None,
        "reason": reason,
        **{name: values.get(name) for name in names},
    }
    return result, facts


def _sentence(path: Path, result: dict[str, Any], facts: "ImageFacts | None") -> str:
    if not result["readable"] or facts is None:
        text = f"{path}: rejected. {result['reason']}"
    else:
        spacing = "spacing unknown"
        if facts.spacing_mm:
            spacing = f"{facts.spacing_mm:g} mm ({facts.spacing_source})"
        window = f", {facts.voi_function} not applied" if facts.voi_function else ""
        text = (
            f"{path}: {facts.rows}x{facts.columns}, {facts.bits_stored} bits, "
            f"{facts.laterality or 'laterality unknown'}, {facts.view or 'view unknown'}, "
            f"{spacing}, "
            f"{facts.photometric}, {facts.transfer_syntax}{window}"
        )
    # A file name may contain any character but must not break the line or the terminal.
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
