"""Doing an experiment's units of work, each with the ordinary steps of a run."""

import hashlib
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd

from mammo_core.datasets import parse
from mammo_core.datasets.tables import from_parquet
from mammo_core.errors import MammoError, RunError
from mammo_core.experiments import Kind, Unit
from mammo_core.processes import follow_parent, run_process
from mammo_core.recipes import Recipe, load_recipe
from mammo_core.store import Store, open_store

#: Raised by hand when units would give other scores.
_REVISION = 1
EXPERIMENTS = "experiments"
#: What of a recipe decides no score.
_NO_PART = {
    *("name", "command", "expected_time", "expected_result", "model_name"),
    *("gate", "runner", "hardware"),
}


def experiment_id(kind: Kind, recipe: Recipe, units: Sequence[Unit]) -> str:
    """Return the id of an experiment: the same plan and recipe find what was done before."""
    told = {
        "revision": _REVISION,
        "kind": kind,
        "recipe": recipe.model_dump(mode="json", exclude=_NO_PART),
        "units": [unit.to_json() for unit in units],
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def scores_key(folder: str, unit: Unit) -> str:
    """Where the test scores of a unit lie."""
    return f"{folder}/units/{unit.name}.parquet"


def done(store: Store, folder: str, units: Sequence[Unit]) -> dict[str, pd.DataFrame]:
    """Return the test scores of the units that are done, by name."""
    found = {}
    for unit in units:
        key = scores_key(folder, unit)
        if store.exists(key):
            found[unit.name] = from_parquet(store.read(key))
    return found


def prepare(store: Store, recipe_uri: str, run_id: str) -> dict[str, Any]:
    """Run the data steps of a recipe in this process; returns the manifests by name."""
    from mammo_core import steps

    run = {"store": store.uri, "run_id": run_id, "recipe": recipe_uri}
    made: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="mammo-unit-") as aside:

        def do(name: str, step: Callable[..., Any], **inputs: str) -> str:
            out = str(Path(aside) / f"{name}.json")
            step(**run, **inputs, out=out)
            made[name] = Path(out).read_text()
            return out

        tables = do("tables", steps.index)
        images = do("images", steps.convert, tables=tables)
        do("frame", steps.publish_features, tables=tables, images=images)
    return {name: parse(text, name) for name, text in made.items()}


def run_units(
    store: Store,
    run_id: str,
    folder: str,
    units: Sequence[Unit],
    workers: int,
    say: Callable[[str], None],
) -> None:
    """Do units in processes of their own.

    Args:
        store: The object store.
        run_id: Of the experiment; its recipe is in the run's record.
        folder: Of the experiment.
        units: What is to be done.
        workers: Processes at a time.
        say: Called with a sentence for each unit.

    Raises:
        RunError: A unit failed, after all others were done.
    """
    failed = []

    def one(unit: Unit) -> None:
        say(f"begins: {unit.name}")
        command = [sys.executable, "-m", "mammo_core.experiments.units", store.uri, run_id, folder]
        result = run_process([*command, unit.to_json()], capture=False)
        if not result.succeeded:
            failed.append(f"{unit.name} ({result.failure})")
        say(f"{'done' if result.succeeded else 'failed'}: {unit.name}")

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(one, units))
    if failed:
        raise RunError(
            f"{len(failed)} of {len(units)} units of the experiment failed",
            expected="exit code 0 of each",
            received=", ".join(failed),
            hint="their lines are above; the same command does what is missing",
        )


def run_unit(store: Store, run_id: str, folder: str, unit: Unit) -> None:
    """Train as a unit says, and store its test scores."""
    from mammo_core import steps

    base = f"{store.uri}/runs/{run_id}/recipe.json"
    mine = f"{run_id}-{unit.name}"
    recipe = load_recipe(base, unit.overrides)
    store.write(f"runs/{mine}/recipe.json", recipe.to_json().encode())
    run = {
        "store": store.uri,
        "run_id": mine,
        "recipe": f"{store.uri}/runs/{mine}/recipe.json",
    }
    made = prepare(store, run["recipe"], mine)
    with tempfile.TemporaryDirectory(prefix="mammo-unit-") as aside:

        def path(name: str) -> str:
            return str(Path(aside) / f"{name}.json")

        for name in ("images", "frame"):
            Path(path(name)).write_text(made[name].to_json())
        training: dict[str, str] = {"images": path("images"), "frame": path("frame")}
        if unit.patch:
            steps.sample(**run, images=path("images"), out=path("patches"))
            steps.train_patch(
                **run, patches=path("patches"), frame=path("frame"), out=path("patch")
            )
            training["patch_training"] = path("patch")
        trained = None
        if unit.facts.get("patients") != 0:
            steps.train_image(**run, **training, out=path("image"))
            trained = parse(Path(path("image")).read_bytes(), path("image"))
    table = _scores(store, recipe, mine, made, trained)
    store.write(scores_key(folder, unit), table.to_parquet(index=False))


def _scores(
    store: Store, recipe: Recipe, run_id: str, made: dict[str, Any], trained: Any
) -> pd.DataFrame:
    from mammo_core.evaluation.inference import image_predictions
    from mammo_core.features.frame import frame_from_manifest
    from mammo_core.steps.base import StepContext
    from mammo_core.steps.networks import load_network, prepare_keras, training_preprocessing

    frame = frame_from_manifest(store, made["frame"])
    if trained is not None:
        context = StepContext("experiment", run_id, store, recipe)
        model = load_network(context, trained)
        preprocessing = training_preprocessing(trained)
    else:
        prepare_keras()
        from mammo_core.packaging import load
        from mammo_core.registry import resolve

        package = load(resolve(recipe.image_training.start))
        model, preprocessing = package.model, package.preprocessing
    table = image_predictions(
        store, made["images"], frame.split("test"), model, preprocessing, recipe.evaluation
    )
    count = len(frame.split("train")) if trained is not None else 0
    return table.assign(trained_on=count)


def _main(store: str, run_id: str, folder: str, unit: str) -> None:
    follow_parent()
    try:
        run_unit(open_store(store), run_id, folder, Unit.from_json(unit))
    except MammoError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    _main(*sys.argv[1:])
