"""`mammo pipeline …`."""

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, help="Compile and run the pipelines.")


@app.callback()
def _group() -> None:
    """Compile and run the pipelines."""


@app.command("compile")
def compile_(
    out: Annotated[Path, typer.Argument(help="Where the YAML goes.")],
) -> None:
    """Compile the pipeline `train` to YAML."""
    from pipelines.local import compile_pipeline
    from pipelines.train import train

    print(f"wrote {compile_pipeline(train, out)}")


@app.command("run")
def run(
    recipe: Annotated[str, typer.Option(help="File or name of the recipe.")],
    local: Annotated[bool, typer.Option("--local", help="Run on this machine.")] = False,
    store: Annotated[
        str,
        typer.Option(envvar="MAMMO_STORE", help="URI of the object store (file:// or s3://)."),
    ] = "file://store",
    source: Annotated[
        str | None,
        typer.Option(help="Folder or s3:// URI of the mammograms (instead of the recipe's)."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key.key=value: overrides the recipe; may be repeated."),
    ] = None,
    shuffle_labels: Annotated[
        bool,
        typer.Option(
            "--shuffle-labels",
            help="Permute the labels over patients: AUC must come out near 0.5; never pushed.",
        ),
    ] = False,
    runs: Annotated[Path, typer.Option(help="Folder of the runs' records.")] = Path("runs"),
    run_id: Annotated[str, typer.Option(help="Id of the run; default: recipe and time.")] = "",
) -> None:
    """Run the pipeline `train`: from a DICOM tree to a pushed model."""
    from mammo_core.errors import RecipeError
    from mammo_core.recipes import load_recipe
    from mammo_core.store import open_store

    if not local:
        raise RecipeError(
            "A run needs a place",
            expected="--local (submitting to a cluster is not built yet)",
            received="no --local",
        )
    overrides = list(settings or [])
    if source is not None:
        overrides.append(f"source.root={json.dumps(source)}")
    if shuffle_labels:
        overrides.append("shuffle_labels=true")
    resolved = load_recipe(recipe, overrides)
    _check_source(resolved.source)
    identity = run_id or f"{resolved.name}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", identity):
        raise RecipeError(
            "The run's id cannot be used",
            expected="letters, digits, '.', '-' and '_'",
            received=repr(identity),
        )
    place = open_store(store)
    for key in list(place.list(f"runs/{identity}")):  # of an earlier run of this id
        place.delete(key)
    place.write(f"runs/{identity}/recipe.json", resolved.to_json().encode())
    print(f"run {identity}: recipe {resolved.name}, store {place.uri}")
    _run_local(place, identity, runs / identity)


def _check_source(source: Any) -> None:
    from mammo_core.errors import RecipeError, SourceError

    try:
        source.files().require(f"source's folder {source.root}")
    except SourceError as error:
        raise RecipeError(
            error.problem,
            expected=f"{error.expected} (source.root)",
            received=error.received,
            hint="make the phantom first with `mammo phantom create`, or give --source DIR",
        ) from error


def _run_local(place: Any, identity: str, folder: Path) -> None:
    import shutil
    import time

    from mammo_core.processes import follow_me
    from pipelines.local import compile_pipeline, run_compiled
    from pipelines.show import failure, show
    from pipelines.train import train

    started = time.time()
    os.environ.update(follow_me())
    package = compile_pipeline(train, folder / "train.yaml")
    # What steps put aside goes with the run, even where they were killed.
    temporary = folder / "tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    os.environ["TMPDIR"] = str(temporary.absolute())
    arguments = {
        "recipe": f"{place.uri}/runs/{identity}/recipe.json",
        "store": place.uri,
        "run_id": identity,
    }
    try:
        succeeded = run_compiled(package, arguments, folder / "artifacts")
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    summary = show(place, identity, folder, time.time() - started)
    if not succeeded:
        raise failure(summary)
