"""`mammo dicom`: the content of image files, and whether they can be used."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mammo_core.dicom.inspection import Inspection

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
    headers_only: Annotated[
        bool, typer.Option("--headers-only", help="Read headers without decoding pixels.")
    ] = False,
    png: Annotated[
        Path | None,
        typer.Option(
            "--png",
            metavar="DIR",
            help="Write each picture as the pipeline sees it before resizing: 16-bit PNG, black "
            "is 0.",
        ),
    ] = None,
    lossy_jpeg: Annotated[
        bool,
        typer.Option(
            "--lossy-jpeg",
            help="Read JPEG pictures too, as a source with the option lossy_jpeg does.",
        ),
    ] = False,
) -> None:
    """Check whether files can be read as mammograms, what they are and, if not, why.

    Files are decoded completely, one at a time and sorted by name in each folder. Files that are
    not images are listed too. Nothing about the patient is read or shown.
    """
    import json

    from mammo_core.dicom.inspection import PictureFolder, inspect_file

    if headers_only and png is not None:
        raise typer.BadParameter(
            "it needs the pixels that --headers-only skips", param_hint="--png"
        )
    pictures = PictureFolder(png) if png is not None else None
    for path, root in _files_below(paths):
        inspected = inspect_file(path, headers_only=headers_only, lossy_jpeg=lossy_jpeg)
        result = {"path": str(path), **inspected.report()}
        if pictures is not None:
            picture = pictures.write(path.relative_to(root), inspected)
            result["png"] = str(picture) if picture else None
        line = json.dumps(result) if as_json else _sentence(path, inspected)
        typer.echo(line)


def _files_below(paths: list[Path]) -> Iterator[tuple[Path, Path]]:
    """Yield the files below the paths, each with the folder that its name is relative to."""
    for path in paths:
        for file in _files([path]):
            yield file, path if path.is_dir() else path.parent


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


def _sentence(path: Path, inspected: "Inspection") -> str:
    facts = inspected.facts
    if inspected.reason is not None or facts is None:
        text = f"{path}: rejected. {inspected.reason}"
    else:
        spacing = "spacing unknown"
        if facts.spacing_mm:
            spacing = f"{facts.spacing_mm:g} mm ({facts.spacing_source})"
        window = f", {facts.voi_function} not applied" if facts.voi_function else ""
        view = " ".join([facts.view or "view unknown", *facts.view_modifiers])
        text = (
            f"{path}: {facts.rows}x{facts.columns}, {facts.bits_stored} bits, "
            f"{facts.laterality or 'laterality unknown'}, {view}, "
            f"{facts.image_type or 'type unknown'}, {spacing}, "
            f"{facts.photometric}, {facts.transfer_syntax}{window}"
        )
        text += "".join(f". {warning.code}: {warning.message}" for warning in facts.warnings)
    # A file name may contain any character but must not break the line or the terminal.
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
