"""`mammo dicom`: what is in an image file, and whether it can be used."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mammo_core.dicom import ImageFacts

app = typer.Typer(no_args_is_help=True, help="Image files.")


@app.callback()
def _dicom() -> None:
    """Image files."""


@app.command()
def inspect(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files or folders.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Say of each file whether it can be read as a mammogram, and if not, why.

    Each file is decoded whole, one after the other, folders in the order of their names; files
    that are no images are named as well. Nothing of the patient is read or shown.
    """
    import json

    for path in _files(paths):
        told = _inspect(path)
        typer.echo(json.dumps(told[0]) if as_json else _sentence(path, *told))


def _files(paths: list[Path]) -> Iterator[Path]:
    """Yield the files below the paths; a path that is not there, or no folder, as it is."""
    for path in paths:
        if path.is_dir():
            yield from _walk(path)
        else:
            yield path


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, sorted; at most one folder's names are held per level.

    Links to folders are not followed: they may lead in a circle.
    """
    try:
        with os.scandir(folder) as found:
            entries = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in found)
    except OSError:
        yield folder  # A folder that may not be listed is told as a file that cannot be opened.
        return
    for name, is_folder in entries:
        if is_folder:
            yield from _walk(folder / name)
        elif not (folder / name).is_dir():
            yield folder / name


def _inspect(path: Path) -> tuple[dict[str, Any], "ImageFacts | None"]:
    """Return what JSON tells of a file, and its facts where it has some."""
    import contextlib

    from mammo_core.dicom import read_facts, read_image
    from mammo_core.errors import DicomError

    facts: ImageFacts | None = None
    reason: str | None = None
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise DicomError(f"{path} is no file", expected="a file", received="a device or pipe")
        facts = read_image(path, mammogram=True).facts
    except DicomError as error:
        reason = str(error)
        with contextlib.suppress(DicomError, OSError):
            if path.is_file():
                facts = read_facts(path, for_processing=True)
    except OSError as error:
        reason = f"{path} cannot be read: {error.strerror or error}."
    held = facts.model_dump() if facts else {}
    names = (
        "transfer_syntax", "photometric", "rows", "columns", "bits_stored", "laterality", "view",
        "spacing_mm",
    )  # fmt: skip
    told = {
        "path": str(path),
        "readable": reason is None,
        "reason": reason,
        **{name: held.get(name) for name in names},
    }
    return told, facts


def _sentence(path: Path, told: dict[str, Any], facts: "ImageFacts | None") -> str:
    if not told["readable"] or facts is None:
        text = f"{path}: refused. {told['reason']}"
    else:
        spacing = "spacing unknown"
        if facts.spacing_mm:
            spacing = f"{facts.spacing_mm:g} mm ({facts.spacing_source})"
        window = f", {facts.voi_function} not applied" if facts.voi_function else ""
        text = (
            f"{path}: {facts.rows}x{facts.columns}, {facts.bits_stored} bits, "
            f"{facts.laterality or 'side unknown'}, {facts.view or 'view unknown'}, {spacing}, "
            f"{facts.photometric}, {facts.transfer_syntax}{window}"
        )
    # A file name may hold anything but must not break the line or the terminal.
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
