"""`mammo sources`: case tables and image trees, before anything is converted."""

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, help="Case tables and image trees.")


@app.callback()
def _sources() -> None:
    """Case tables and image trees."""


@app.command()
def check(
    tables: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the case tables.")],
    source: Annotated[str, typer.Option(help="How they are read: cbis-ddsm.")] = "cbis-ddsm",
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the images: find, hash and check each."),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Some tables may be missing or without rows.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Count rows, views and patients, and find patients on both sides of the official split.

    Needs the case tables only; with --images every image and mask is looked for too.
    """
    import json

    from mammo_core.errors import RecipeError
    from mammo_core.sources.cases import case_facts, read_cases

    if source.replace("_", "-") != "cbis-ddsm":
        raise RecipeError("--source cannot be used", expected="cbis-ddsm", received=source)
    if images is None:
        facts = case_facts(read_cases(tables, partial))
    else:
        facts = _with_images(tables, images, partial, as_json)
    if as_json:
        typer.echo(json.dumps(facts))
        return
    for line in _lines(facts):
        typer.echo(line)


def _with_images(tables: Path, images: Path, partial: bool, quiet: bool) -> dict[str, Any]:
    from mammo_core.sources import SourceConfig, index

    def told(what: str, done: int, total: int) -> None:
        if not quiet and (done == total or done % 100 == 0):
            typer.echo(f"{what}: {done} of {total}", err=True)

    config = SourceConfig(root=str(images), tables=str(tables), partial=partial)
    found = index(config, progress=told)
    return {**found.facts, "rejects": found.rejects.to_dict("records")}


def _lines(facts: dict[str, Any]) -> list[str]:
    lines = [
        f"{facts['rows']} rows, {facts['views']} views, {facts['patients']} patients",
        *(
            f"{name}: {counts['views']} views ({counts['malignant']} malignant), "
            f"{counts['patients']} patients"
            for name, counts in facts["splits"].items()
        ),
    ]
    without = facts["test_without_leak"]
    if facts["leaking_patients"]:
        lines.append(
            f"{facts['leaking_patients']} patients are in train and in test; test without them: "
            f"{without['views']} views ({without['malignant']} malignant), "
            f"{without['patients']} patients"
        )
    else:
        lines.append("no patient is in train and in test")
    if "files" in facts:
        files = facts["files"]
        lines.append(
            f"{files['image_files']} image files, {files['images']} different images of "
            f"{files['views']} views, {files['lesions']} lesions with a mask"
        )
        lines += [
            f"rejected {row['kind']} {row['item']}: {row['reason']}" for row in facts["rejects"]
        ]
    return lines
