"""`mammo dicom`: what is in an image file, and whether it can be used."""

from pathlib import Path
from typing import Annotated, Any

import typer

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

    Each file is decoded whole. Nothing of the patient is read or shown.
    """
    import json

    for path in _files(paths):
        told = _inspect(path)
        if as_json:
            typer.echo(json.dumps(told))
        elif told["readable"]:
            side = told["laterality"] or "side unknown"
            spacing = f"{told['spacing_mm']:g} mm" if told["spacing_mm"] else "spacing unknown"
            typer.echo(
                f"{path}: {told['rows']}x{told['columns']}, {told['bits_stored']} bits, "
                f"{side}, {told['view'] or 'view unknown'}, {spacing}, "
                f"{told['photometric']}, {told['transfer_syntax']}"
            )
        else:
            typer.echo(f"{path}: refused. {told['reason']}")


def _files(paths: list[Path]) -> list[Path]:
    """Return the files, those of folders sorted; a path that is not there stays."""
    files: list[Path] = []
    for path in paths:
        files += sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return files


def _inspect(path: Path) -> dict[str, Any]:
    import contextlib

    from mammo_core.dicom import ImageFacts, read_any, read_any_facts
    from mammo_core.errors import DicomError

    facts: ImageFacts | None = None
    reason: str | None = None
    try:
        facts = read_any(path, mammogram=True).facts
    except DicomError as error:
        reason = str(error)
        with contextlib.suppress(DicomError):
            facts = read_any_facts(path)
    held = facts.model_dump() if facts else {}
    names = (
        "transfer_syntax", "photometric", "rows", "columns", "bits_stored", "laterality", "view",
        "spacing_mm",
    )  # fmt: skip
    return {
        "path": str(path),
        "readable": reason is None,
        "reason": reason,
        **{name: held.get(name) for name in names},
    }
