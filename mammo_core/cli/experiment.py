"""`mammo experiment`: trainings compared, leaks, explanations, vendors."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mammo_core.experiments import ExperimentKind, Trial
    from mammo_core.experiments.explanations import Counterfactual
    from mammo_core.recipes import Recipe
    from mammo_core.reporting import Overlay
    from mammo_core.store import Store

app = typer.Typer(
    no_args_is_help=True,
    help="Experiments: many trainings, one table and one plot. The same command resumes an "
    "interrupted experiment.",
)

_Store = Annotated[
    str, typer.Option(envvar="MAMMO_STORE", help="URI of the object store (file:// or s3://).")
]
_Source = Annotated[
    str | None,
    typer.Option(help="Folder or s3:// URI of the mammograms (instead of the recipe's)."),
]
_Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="key.key=value: overrides the recipe; may be repeated."),
]
_Partition = Annotated[
    str,
    typer.Option(
        metavar="I/N",
        help="Train only the trials k with k % N == I, for instance in one of N pods. After all "
        "partitions, the command without --partition finishes the experiment.",
    ),
]
_Workers = Annotated[int, typer.Option(min=1, help="Number of trials that run at a time.")]
_Out = Annotated[Path, typer.Option(help="Folder for the tables and plots.")]
_DEFAULT_STORE = "file://store"
_DEFAULT_OUT = Path("experiments")


@app.command("patch-pretraining")
def patch_pretraining(
    recipe: Annotated[
        str, typer.Option(help="File or name of the recipe.")
    ] = "phantom_patch_pretraining",
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds: 0, 1, …")] = 5,
    store: _Store = _DEFAULT_STORE,
    source: _Source = None,
    settings: _Settings = None,
    partition: _Partition = "",
    workers: _Workers = 1,
    out: _Out = _DEFAULT_OUT,
) -> None:
    """Compare patch-initialized with from-scratch training at the same budget.

    The result is the paired AUC difference (seeds averaged) with its 95 % interval (patients
    resampled).
    """
    from mammo_core import experiments

    loaded = _load(recipe, source, settings)
    trials = experiments.patch_pretraining(range(seeds), loaded.image_training)
    _run("patch-pretraining", loaded, trials, store, partition, workers, out)


@app.command("transfer-curve")
def transfer_curve(
    recipe: Annotated[str, typer.Option(help="File or name of the recipe.")],
    start: Annotated[
        str, typer.Option(help="Model package to start from; default: image_training.start.")
    ] = "",
    patients: Annotated[
        str, typer.Option(help="Numbers of training patients; 0: the package as it is.")
    ] = "0,20,30,40,50,60",
    repeats: Annotated[int, typer.Option(min=1, help="Number of draws of each subset.")] = 3,
    store: _Store = _DEFAULT_STORE,
    source: _Source = None,
    settings: _Settings = None,
    partition: _Partition = "",
    workers: _Workers = 1,
    out: _Out = _DEFAULT_OUT,
) -> None:
    """Fine-tune a model on increasing numbers of patients: how many does a new site need?"""
    from mammo_core import experiments
    from mammo_core.errors import RecipeError
    from mammo_core.store import open_store

    loaded = _load(recipe, source, settings)
    start = start or loaded.image_training.start
    if not start:
        raise RecipeError(
            "A transfer curve needs a model to start from",
            expected="--start URI, or image_training.start in the recipe",
            received="neither",
        )
    try:
        counts = [int(number) for number in patients.split(",")]
    except ValueError:
        raise RecipeError(
            "The numbers of patients cannot be read",
            expected="whole numbers separated by commas, for instance 0,20,40",
            received=patients,
        ) from None
    by_patient = _patients(open_store(store), loaded)
    trials = experiments.transfer_curve(counts, repeats, by_patient, start, loaded.seed)
    _run("transfer-curve", loaded, trials, store, partition, workers, out)


@app.command("folds")
def folds(
    recipe: Annotated[str, typer.Option(help="File or name of the recipe.")],
    count: Annotated[int, typer.Option("--folds", min=2, help="Number of folds.")] = 5,
    store: _Store = _DEFAULT_STORE,
    source: _Source = None,
    settings: _Settings = None,
    partition: _Partition = "",
    workers: _Workers = 1,
    out: _Out = _DEFAULT_OUT,
) -> None:
    """Cross-validate, with every patient as a test patient once."""
    from mammo_core import experiments

    loaded = _load(recipe, source, settings)
    _run("folds", loaded, experiments.folds(count), store, partition, workers, out)


@app.command("leaks")
def leaks(
    recipe: Annotated[str, typer.Option(help="File or name of the recipe.")] = "phantom",
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds: 0, 1, …")] = 5,
    epochs: Annotated[int, typer.Option(min=2, help="Epochs of each small network.")] = 40,
    store: _Store = _DEFAULT_STORE,
    source: _Source = None,
    settings: _Settings = None,
    partition: _Partition = "",
    workers: _Workers = 1,
    out: _Out = _DEFAULT_OUT,
) -> None:
    """Show what popular mistakes in the sides of patients add to an AUC.

    A small network is trained on the annotated lesions, honestly and under each mistake, and both
    are tested on the same images. Of the recipe only source, images, conversion and the seed of
    the split are used.
    """
    from mammo_core.experiments.leak_trials import leak_trials

    loaded = _load(recipe, source, settings)
    _run("leaks", loaded, leak_trials(range(seeds), epochs), store, partition, workers, out)


@app.command("sources")
def sources(
    recipe: Annotated[
        str, typer.Option(help="File or name of a recipe with three sources or more.")
    ] = "phantom_sources",
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds: 0, 1, …")] = 3,
    store: _Store = _DEFAULT_STORE,
    settings: _Settings = None,
    partition: _Partition = "",
    workers: _Workers = 1,
    out: _Out = _DEFAULT_OUT,
) -> None:
    """Show what training on several sources is worth on sources that no training has seen.

    Patch classifiers are trained on each source alone, on all but one and on all, and tested on
    the annotated lesions of the same test patients of each: what is lost on another source, and
    how much of it mixed training recovers, with 95 % intervals (patients resampled).
    """
    from mammo_core.experiments.source_trials import source_trials

    loaded = _load(recipe, None, settings)
    _run("sources", loaded, source_trials(loaded, range(seeds)), store, partition, workers, out)


@app.command("explanations")
def explanations(
    models: Annotated[
        list[str],
        typer.Option(
            "--model",
            metavar="URI",
            help="A package; may be repeated, for instance with one of shuffled labels.",
        ),
    ],
    patients: Annotated[int, typer.Option(min=4, help="Patients of the phantom.")] = 60,
    seed: Annotated[int, typer.Option(min=0, help="Other seeds draw other patients.")] = 0,
    layout: Annotated[
        str, typer.Option(help="Layout of the phantom that the models were trained on.")
    ] = "original",
    out: _Out = _DEFAULT_OUT,
) -> None:
    """Test explanations: the same breast of the phantom with and without its lesion.

    Where a lesion is taken out, the heat of a trained model must fall, and its probability there
    or with a benign lesion instead (a model that never saw a view without a lesion has no opinion
    on one). Of a model trained on shuffled labels (--set shuffle_labels=true), neither the
    probability nor the heat of malignancy may fall. Nobody pushes such a model: name the folder of
    its package, candidates/<id>/<attempt> in a store that is a folder.
    """
    import json

    from mammo_core.experiments.explanations import check_explanations, explanation_page
    from mammo_core.experiments.lesion_pairs import draw_pairs
    from mammo_core.registry import open_package

    results: dict[str, Counterfactual] = {}
    pictures: list[Overlay] = []
    for uri in models:
        package = open_package(uri).load()
        pairs = draw_pairs(package.preprocessing, patients, seed, layout)
        result, overlays = check_explanations(package, pairs, seed=seed)
        name = uri if uri not in results else f"{uri} ({package.model_id[:12]})"
        results[name] = result
        pictures = pictures or overlays
        for what in ("probability", "against_benign", "heat", "malignant_heat", "heat_elsewhere"):
            fall = getattr(result, what)
            if fall is not None:
                typer.echo(f"{name}: {what.replace('_', ' ')} {fall.fall}, {fall.verdict}")
    folder = out / "explanations"
    folder.mkdir(parents=True, exist_ok=True)
    text = {name: result.model_dump(mode="json") for name, result in results.items()}
    (folder / "result.json").write_text(json.dumps(text, indent=1))
    (folder / "result.html").write_text(explanation_page(results, pictures))
    typer.echo(f"{folder}/result.html")


@app.command("vendors")
def vendors(
    evaluations: Annotated[
        list[str] | None,
        typer.Option("--evaluation", metavar="ID", help="An evaluation; may be repeated."),
    ] = None,
    store: _Store = _DEFAULT_STORE,
    out: _Out = _DEFAULT_OUT,
) -> None:
    """Show evaluated models by the vendors they were trained on, tested on each vendor.

    By default, all evaluations in the store are shown, but those of shuffled labels.
    """
    import json

    from mammo_core.experiments.vendors import vendor_matrix, vendor_page
    from mammo_core.store import open_store

    cells = vendor_matrix(open_store(store), evaluations or ())
    for cell in cells:
        trained = ", ".join(cell.trained_on)
        typer.echo(f"trained on {trained}; {cell.n_images} images of {cell.vendor}: {cell.auc}")
    folder = out / "vendors"
    folder.mkdir(parents=True, exist_ok=True)
    text = [cell.model_dump(mode="json") for cell in cells]
    (folder / "result.json").write_text(json.dumps(text, indent=1))
    (folder / "result.html").write_text(vendor_page(cells))
    typer.echo(f"{folder}/result.html")


def _load(recipe: str, source: str | None, settings: list[str] | None) -> "Recipe":
    import json

    from mammo_core.recipes import load_recipe

    overrides = list(settings or [])
    if source is not None:
        overrides.append(f"source.root={json.dumps(source)}")
    return load_recipe(recipe, overrides)


def _patients(store: "Store", recipe: "Recipe") -> dict[str, tuple[str, int]]:
    """Run the data steps; return the split and the label of each patient of the recipe."""
    from mammo_core.experiments.run import prepare_data
    from mammo_core.features.frame import frame_from_manifest
    from mammo_core.runs import Run

    run = Run(store, f"{recipe.name}-patients")
    run.write_recipe(recipe)
    images = frame_from_manifest(store, prepare_data(run).frame).images
    by_patient = images.groupby("patient_key").agg({"split": "first", "label": "max"})
    return {str(key): (str(row["split"]), int(row["label"])) for key, row in by_patient.iterrows()}


def _run(
    kind: "ExperimentKind",
    recipe: "Recipe",
    trials: "list[Trial]",
    store: str,
    partition: str,
    workers: int,
    out: Path,
) -> None:
    from mammo_core.experiments import result_files
    from mammo_core.experiments.run import Experiment
    from mammo_core.experiments.summarize import summarize
    from mammo_core.store import open_store

    experiment = Experiment(open_store(store), kind, recipe, trials)
    scores = experiment.scores()
    missing = [trial for trial in _select(trials, partition) if trial.name not in scores]
    _print(
        f"{kind} {experiment.id}: {len(trials)} trials, {len(scores)} already finished, "
        f"{len(missing)} to run"
    )
    experiment.run_trials(missing, workers, _print)
    scores = experiment.scores()
    if len(scores) < len(trials):
        _print(f"{len(scores)} of {len(trials)} trials are finished; run the other partitions")
        return
    result = summarize(kind, trials, scores, recipe.seed)
    command = " ".join(["mammo", *sys.argv[1:]])
    files = result_files(result, f"{recipe.name}: {kind}", command)
    experiment.publish(files, result.conclusion)
    folder = out / f"{kind}-{experiment.id}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    _print_table(result)
    typer.echo(f"table: {folder}/table.md\nplot:  {folder}/plot.png\npage:  {folder}/report.html")


def _select(trials: "list[Trial]", partition: str) -> "list[Trial]":
    from mammo_core.ingest import Partition

    return Partition.parse(partition).select(trials) if partition else trials


def _print(text: str) -> None:
    print(f"[experiment] {text}", flush=True)


def _print_table(result: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    from mammo_core.reporting.page import format_value

    names = list(result.summary[0])
    if "adds" in names:  # all columns would not fit
        names = [name for name in names if name in ("arm", "auc", "shows") or "adds" in name]
    table = Table(*names)
    for row in result.summary:
        table.add_row(*(format_value(row[name]) for name in names))
    Console().print(table)
    typer.echo(result.conclusion)
