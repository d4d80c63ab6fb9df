"""`mammo sources`: check tables and image trees before anything is converted."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mammo_core.sources.adapter import Adapter
    from mammo_core.sources.config import SourceConfig

app = typer.Typer(no_args_is_help=True, help="Case tables and image trees.")


@app.callback()
def _sources() -> None:
    """Case tables and image trees."""


@app.command()
def check(
    source: Annotated[
        str,
        typer.Option(help="Adapter of the source, for example cbis-ddsm or table."),
    ] = "cbis-ddsm",
    tables: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Case tables: a folder or URI; for `table` the CSV file."),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Images, a folder or URI: find, hash and check each."),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Some tables may be missing or without rows.")
    ] = False,
    patient_ids_in_paths: Annotated[
        bool,
        typer.Option("--patient-ids-in-paths", help="File names may contain patient ids."),
    ] = False,
    lossy_jpeg: Annotated[
        bool,
        typer.Option("--lossy-jpeg", help="The data set is published as JPEG pictures: read them."),
    ] = False,
    mapping: Annotated[
        str,
        typer.Option(metavar="NAME", help="Mapping of columns and cells, a file beside the table."),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what a source contains and what is wrong with it, before any work starts.

    CBIS-DDSM needs the case tables only: rows, views, patients, and the patients in both
    official splits; with --images every image and mask is looked for too.
    """
    import json

    from mammo_core.errors import RecipeError
    from mammo_core.sources.card.known_terms import terms_line, terms_of
    from mammo_core.sources.check import check_source, fact_lines

    adapter = adapter_of(source)
    needed = {"tables": [tables], "images": [images], "either": [tables, images]}
    if not any(needed[adapter.check_input]):
        either = adapter.check_input == "either"
        raise RecipeError(
            f"The source {source} cannot be checked",
            expected="--tables or --images" if either else f"--{adapter.check_input}",
            received="none",
        )

    def report(what: str, done: int, total: int) -> None:
        if not as_json and (done == total or done % 100 == 0):
            typer.echo(f"{what}: {done} of {total}", err=True)

    options: dict[str, bool | str] = {
        "patient_ids_in_paths": patient_ids_in_paths,
        "lossy_jpeg": lossy_jpeg,
        "mapping": mapping,
    }
    stated = {name: value for name, value in options.items() if value}
    config = source_config(adapter, tables, images, stated, partial=partial)
    terms = terms_of(config)
    facts = check_source(config, images is not None, report)
    facts["terms"] = terms.model_dump(mode="json") if terms is not None else None
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        typer.echo(terms_line(config))
        for line in fact_lines(adapter, facts):
            typer.echo(line)
    if facts.get("problems"):
        raise typer.Exit(1)


@app.command()
def suggest(
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="A CSV, Parquet or Excel file, or its URI.")
    ],
    images: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Images, a folder or URI: how rows name their files."),
    ] = None,
    sheet: Annotated[str, typer.Option(help="Sheet of a workbook; default: its first.")] = "",
    out: Annotated[
        Path | None,
        typer.Option(metavar="YAML", help="Write the mapping to a new file, beside the table."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Propose how a table of your own is read, and say which published data set it looks like.

    The proposal is a YAML file for `source.table.mapping`: which column is what, and what the
    words in its cells mean. What it is not sure of is listed above the mapping. No cell is printed
    that could be the name or the id of a patient.
    """
    import json

    from mammo_core.errors import RecipeError
    from mammo_core.sources.files.source_files import SourceFiles
    from mammo_core.sources.suggest.suggestion import suggest as propose

    if out is not None and out.exists():
        raise RecipeError(
            f"The mapping {out.name} cannot be written", expected="a new file", received="a file"
        )
    proposal = propose(table, SourceFiles.open(images) if images is not None else None, sheet)
    name = table.rstrip("/").rpartition("/")[2]
    if out is not None:
        out.write_text(proposal.text(name), encoding="utf-8")
    if as_json:
        like = [
            {
                "data_set": one.table.data_set,
                "table": one.table.name,
                "adapter": one.table.adapter,
                "columns": one.columns,
                "of": len(one.table.columns),
            }
            for one in proposal.like
        ]
        document = {"mapping": proposal.mapping, "notes": proposal.notes, "like": like}
        typer.echo(json.dumps(document, ensure_ascii=False))
        return
    for one in proposal.like:
        typer.echo(
            f"looks like {one.table.name} of {one.table.data_set} ({one.columns} of "
            f"{len(one.table.columns)} columns): `source.adapter: {one.table.adapter}` reads that "
            "data set as it is published"
        )
    if out is None:
        typer.echo(proposal.text(name), nl=False)
        return
    for note in proposal.notes:
        typer.echo(f"note: {note}")
    typer.echo(f"written: {out}")
    typer.echo(
        f"next: mammo sources check --source table --tables {table} --mapping {out.name}"
        + (f" --images {images}" if images else "")
    )


@app.command("site-key")
def site_key() -> None:
    """Create the key from which patient keys of your own data are made, once for the site.

    It is written to a file that only you can read; an existing key is kept. On a cluster use
    the text of that file as the Secret MAMMO_SITE_KEY: another key makes other patient keys.
    """
    from mammo_core.sources.identity.patients import create_site_key, fingerprint, site_key

    path, created = create_site_key()
    state = "created" if created else "kept"
    typer.echo(f"{state} {path}, fingerprint {fingerprint(site_key())}")


def adapter_of(source: str) -> "Adapter":
    """Return the adapter that `--source` names; `-` and `_` are the same.

    Raises:
        RecipeError: There is none of this name.
    """
    from mammo_core.errors import RecipeError, SourceError
    from mammo_core.sources.adapter import get_adapter

    try:
        return get_adapter(source.replace("-", "_"))
    except SourceError as error:
        raise RecipeError(
            "--source cannot be used",
            expected=error.expected.replace("_", "-"),
            received=repr(source),
        ) from error


def source_config(
    adapter: "Adapter",
    tables: str | None,
    images: str | None,
    options: Mapping[str, bool | str],
    *,
    partial: bool = False,
) -> "SourceConfig":
    """Return the source that options of a command name.

    Args:
        adapter: Its adapter.
        tables: The case tables.
        images: The images.
        options: Options of the adapter.
        partial: Whether tables may be missing.

    Raises:
        RecipeError: The adapter has no such option.
    """
    from mammo_core.errors import RecipeError
    from mammo_core.sources.config import SourceConfig

    for name in options:
        if adapter.options is None or name not in adapter.options.model_fields:
            raise RecipeError(
                f"--{name.replace('_', '-')} cannot be used",
                expected=f"an adapter with the option {name}",
                received=adapter.name,
            )
    stated: dict[str, Any] = {adapter.name: options} if options else {}
    return SourceConfig.model_validate(
        {
            "adapter": adapter.name,
            "root": images or ".",
            "tables": tables,
            "partial": partial,
            **stated,
        }
    )
