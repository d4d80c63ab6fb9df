"""`mammo experiment`: patch-pretraining, transfer curve, cross-validation."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mammo_core.experiments import Kind, Unit
    from mammo_core.recipes import Recipe
    from mammo_core.store import Store

app = typer.Typer(
    no_args_is_help=True,
    help="Experiments: many trainings, one table and one plot. The same command goes on "
    "where it was stopped.",
)

_Store = Annotated[
    str, typer.Option(envvar="MAMMO_STORE", help="URI of the object store (file:// or s3://).")
]
_Source = Annotated[
    str | None, typer.Option(help="Folder or s3:// URI of the mammograms (not the recipe's).")
]
_Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="key.key=value: overrides the recipe; may be repeated."),
]
_Partition = Annotated[
    str,
    typer.Option(
        metavar="I/N",
        help="Train only the units k with k % N == I, for instance in one of N pods. When all "
        "are done, the command without --partition finishes the experiment.",
    ),
]
_Workers = Annotated[int, typer.Option(min=1, help="Units at a time on this machine.")]
_Out = Annotated[Path, typer.Option(help="Folder of the tables and plots.")]
_DEFAULT_STORE = "file://store"
_DEFAULT_OUT = Path("experiments")


@app.command("patch-pretraining")
def patch_pretraining(
    recipe: Annotated[
        str, typer.Option(help="File or name of the recipe.")
    ] = "phantom_patch_pretraining",
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds: 0, 1, …")] = 5,
    store: _Store = _DEFAULT_STORE,
    source: _Source = None,
    settings: _Settings = None,
    partition: _Partition = "",
    workers: _Workers = 1,
    out: _Out = _DEFAULT_OUT,
) -> None:
    """Compare patch-initialised with from-scratch training at the same budget.

    The 95 % interval of the paired AUC difference (seeds averaged, patients resampled)
    tells whether patch training helps.
    """
    from mammo_core import experiments

    loaded = _load(recipe, source, settings)
    units = experiments.patch_pretraining(range(seeds), loaded.image_training)
    _run("patch-pretraining", loaded, units, store, partition, workers, out)


@app.command("transfer-curve")
def transfer_curve(
    recipe: Annotated[str, typer.Option(help="File or name of the recipe.")],
    start: Annotated[
        str, typer.Option(help="Model package to begin with; default: image_training.start.")
    ] = "",
    patients: Annotated[
        str, typer.Option(help="Numbers of training patients; 0: the model as it is.")
    ] = "0,20,30,40,50,60",
    repeats: Annotated[int, typer.Option(min=1, help="Draws of patients of each number.")] = 3,
    store: _Store = _DEFAULT_STORE,
    source: _Source = None,
    settings: _Settings = None,
    partition: _Partition = "",
    workers: _Workers = 1,
    out: _Out = _DEFAULT_OUT,
) -> None:
    """Fine-tune a model on ever more patients: how many does a new site need?"""
    from mammo_core import experiments
    from mammo_core.errors import RecipeError
    from mammo_core.store import open_store

    loaded = _load(recipe, source, settings)
    begin = start or loaded.image_training.start
    if not begin:
        raise RecipeError(
            "A transfer curve needs a model to begin with",
            expected="--start URI, or image_training.start in the recipe",
            received="neither",
        )
    try:
        counts = [int(number) for number in patients.split(",")]
    except ValueError:
        raise RecipeError(
            "The numbers of patients cannot be read",
            expected="whole numbers divided by commas, for instance 0,20,40",
            received=patients,
        ) from None
    opened = open_store(store)
    known = _patients(opened, loaded)
    units = experiments.transfer_curve(counts, repeats, known, begin, loaded.seed)
    _run("transfer-curve", loaded, units, store, partition, workers, out)


@app.command("folds")
def folds(
    recipe: Annotated[str, typer.Option(help="File or name of the recipe.")],
    count: Annotated[int, typer.Option("--folds", min=2, help="How many.")] = 5,
    store: _Store = _DEFAULT_STORE,
    source: _Source = None,
    settings: _Settings = None,
    partition: _Partition = "",
    workers: _Workers = 1,
    out: _Out = _DEFAULT_OUT,
) -> None:
    """Cross-validate: every patient is a test patient once."""
    from mammo_core import experiments

    loaded = _load(recipe, source, settings)
    _run("folds", loaded, experiments.folds(count), store, partition, workers, out)


def _load(recipe: str, source: str | None, settings: list[str] | None) -> "Recipe":
    import json

    from mammo_core.recipes import load_recipe

    overrides = list(settings or [])
    if source is not None:
        overrides.append(f"source.root={json.dumps(source)}")
    return load_recipe(recipe, overrides)


def _patients(store: "Store", recipe: "Recipe") -> dict[str, tuple[str, int]]:
    """The patients of the recipe's own split, with their labels; the data steps are run."""
    from mammo_core.experiments.units import prepare
    from mammo_core.features.frame import frame_from_manifest

    run_id = f"{recipe.name}-patients"
    store.write(f"runs/{run_id}/recipe.json", recipe.to_json().encode())
    made = prepare(store, f"{store.uri}/runs/{run_id}/recipe.json", run_id)
    images = frame_from_manifest(store, made["frame"]).images
    by_patient = images.groupby("patient_key").agg({"split": "first", "label": "max"})
    return {str(key): (str(row["split"]), int(row["label"])) for key, row in by_patient.iterrows()}


def _run(
    kind: "Kind",
    recipe: "Recipe",
    units: "list[Unit]",
    store_uri: str,
    partition: str,
    workers: int,
    out: Path,
) -> None:
    from mammo_core.experiments import conclude, files
    from mammo_core.experiments.units import EXPERIMENTS, done, experiment_id, run_units
    from mammo_core.store import open_store

    store = open_store(store_uri)
    identity = experiment_id(kind, recipe, units)
    folder, run_id = f"{EXPERIMENTS}/{kind}/{identity}", f"{kind}-{identity}"
    store.write(f"runs/{run_id}/recipe.json", recipe.to_json().encode())
    found = done(store, folder, units)
    missing = [unit for unit in _select(units, partition) if unit.name not in found]
    _say(f"{kind} {identity}: {len(units)} units, {len(found)} done before, {len(missing)} to do")
    run_units(store, run_id, folder, missing, workers, _say)
    found = done(store, folder, units)
    if len(found) < len(units):
        _say(f"{len(found)} of {len(units)} units are done; the others belong to other partitions")
        return
    result = conclude(kind, units, found, recipe.seed)
    place = out / f"{kind}-{identity}"
    place.mkdir(parents=True, exist_ok=True)
    command = " ".join(["mammo", *sys.argv[1:]])
    for name, data in files(result, f"{recipe.name}: {kind}", command).items():
        (place / name).write_bytes(data)
        store.write(f"{folder}/{name}", data)
    _show(result)
    typer.echo(f"table: {place}/table.md\nplot:  {place}/plot.png\npage:  {place}/report.html")


def _select(units: "list[Unit]", partition: str) -> "list[Unit]":
    from mammo_core.ingest import Partition

    return Partition.parse(partition).select(units) if partition else units


def _say(text: str) -> None:
    print(f"[experiment] {text}", flush=True)


def _show(result: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    from mammo_core.reporting.page import format_value

    table = Table(*result.summary[0])
    for row in result.summary:
        table.add_row(*(format_value(value) for value in row.values()))
    Console().print(table)
    typer.echo(result.conclusion)
