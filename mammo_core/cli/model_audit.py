"""`mammo models sheet` and `mammo models audit`: what is asked of a model from outside."""

import json
from pathlib import Path
from typing import Annotated

import typer

Uri = Annotated[
    str,
    typer.Argument(
        metavar="URI",
        help="A package folder, …/models/<name>/<version>, or …/models/<name> (its champion).",
    ),
]
StoreUri = Annotated[
    str,
    typer.Option(
        "--store", metavar="URI", envvar="MAMMO_STORE", help="file:///folder or s3://bucket."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def reporting_sheet(
    uri: Uri,
    sheet: Annotated[
        str, typer.Option(help="`tripod-ai`, `claim-2024`, `model-card`, or `all`.")
    ] = "all",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Write each sheet as HTML and Markdown; default: print Markdown."
        ),
    ] = None,
    statements: Annotated[
        Path | None,
        typer.Option(
            metavar="YAML", help="What only people can state: funding, ethics, … (docs/sheets.md)."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Fill reporting sheets from a package: TRIPOD+AI, CLAIM 2024, a model card.

    Each item is answered from what the package records of its run, or says why it is not
    available.
    """
    from mammo_core.registry import open_package
    from mammo_core.registry.sheets.evidence import read_evidence
    from mammo_core.registry.sheets.render import chosen_sheets, to_markdown, write_sheets
    from mammo_core.registry.sheets.sheet import fill
    from mammo_core.registry.sheets.statements import read_statements

    chosen = chosen_sheets(sheet)
    stated = read_statements(statements) if statements is not None else None
    evidence = read_evidence(open_package(uri), stated)
    filled = [fill(each, evidence) for each in chosen]
    if out is not None:
        for path in write_sheets(filled, out):
            typer.echo(path, err=as_json)
    if as_json:
        typer.echo(json.dumps([each.as_json() for each in filled], indent=2))
    elif out is None:
        typer.echo("\n".join(to_markdown(each) for each in filled).rstrip())


def audit_model(
    name: Annotated[str, typer.Argument(help="Name of the model.")],
    store: StoreUri,
    as_json: Json = False,
) -> None:
    """Verify the whole chain of a model, and show its history: releases, plans, who signed.

    Every version, the outputs that it rests on (from the tables of images to the evaluation), the
    duel and the decision that released it, and every change of the champion. Each object that was
    changed or is missing is named. An output that was written again when a patient was forgotten
    is accepted by its signed note and her tombstone.
    """
    from mammo_core.registry.audit.audit import audit
    from mammo_core.store import open_store

    result = audit(open_store(store), name, quiet=as_json)
    if as_json:
        typer.echo(json.dumps(result.as_json(), indent=2))
    else:
        for line in result.lines():
            typer.echo(line)
    if result.faults:
        raise typer.Exit(1)
