"""Run the units of an experiment, each with the ordinary steps of a run."""

import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pandas as pd

from mammo_core import steps
from mammo_core.datasets import Manifest
from mammo_core.datasets.tables import from_parquet
from mammo_core.errors import MammoError, RunError
from mammo_core.experiments.plan import ExperimentKind, Unit
from mammo_core.models.backend import prepare_keras
from mammo_core.processes import follow_parent, run_process
from mammo_core.recipes import Recipe, load_recipe
from mammo_core.runs import Run
from mammo_core.store import Store, open_store
from mammo_core.training.kinds import IMAGE_TRAINING
from mammo_core.training.networks import load_network

#: Raised by hand when units would result in other scores.
_REVISION = 1
_FOLDER = "experiments"
#: Sections of a recipe that affect no score.
_IRRELEVANT = {
    *("name", "command", "expected_time", "expected_result", "model_name"),
    *("gate", "runner", "hardware"),
}


class RunData(NamedTuple):
    """The outputs of the data steps.

    Attributes:
        images: The image dataset.
        frame: The frame.
    """

    images: Manifest
    frame: Manifest


class Experiment:
    """An experiment in a store: its recipe, and the scores of its units.

    Args:
        store: The object store.
        kind: The kind of experiment.
        recipe: The recipe of all units.
        units: The plan. The same plan and recipe have the same id.
    """

    def __init__(
        self, store: Store, kind: ExperimentKind, recipe: Recipe, units: Sequence[Unit]
    ) -> None:
        content = {
            "revision": _REVISION,
            "kind": kind,
            "recipe": recipe.model_dump(mode="json", exclude=_IRRELEVANT),
            "units": [unit.to_json() for unit in units],
        }
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        self.id = digest[:16]
        self.folder = f"{_FOLDER}/{kind}/{self.id}"
        self.run = Run(store, f"{kind}-{self.id}")
        self._store, self._recipe, self._units = store, recipe, units

    def scores(self) -> dict[str, pd.DataFrame]:
        """Return the test scores of the finished units, by name."""
        keys = {unit.name: _scores_key(self.folder, unit) for unit in self._units}
        return {
            name: from_parquet(self._store.read(key))
            for name, key in keys.items()
            if self._store.exists(key)
        }

    def run_units(
        self, units: Sequence[Unit], workers: int, print_line: Callable[[str], None]
    ) -> None:
        """Run units in separate processes.

        Args:
            units: The units to run.
            workers: Number of processes at a time.
            print_line: Called with a line when a unit starts or ends.

        Raises:
            RunError: A unit failed; all others were run.
        """
        self.run.write_recipe(self._recipe)
        failed = []

        def run(unit: Unit) -> None:
            print_line(f"started: {unit.name}")
            command = [sys.executable, "-m", "mammo_core.experiments.run", self._store.uri]
            arguments = [self.run.id, self.folder, unit.to_json()]
            result = run_process([*command, *arguments], capture=False)
            if not result.succeeded:
                failed.append(f"{unit.name} ({result.failure})")
            print_line(f"{'finished' if result.succeeded else 'failed'}: {unit.name}")

        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(run, units))
        if failed:
            raise RunError(
                f"{len(failed)} of {len(units)} units of the experiment failed",
                expected="exit code 0 of each",
                received=", ".join(failed),
                hint="their output is above; the same command runs the missing units",
            )

    def write_files(self, files: Mapping[str, bytes]) -> None:
        """Write the files of the result into the experiment's folder in the store."""
        for name, data in files.items():
            self._store.write(f"{self.folder}/{name}", data)


def prepare_data(run: Run) -> RunData:
    """Run the data steps of a run in this process."""
    tables = steps.index(run)
    images = steps.convert(run, tables=tables)
    return RunData(images, steps.publish_features(run, tables=tables, images=images))


def run_unit(store: Store, run_id: str, folder: str, unit: Unit) -> None:
    """Train a unit and store its test scores.

    Args:
        store: The object store.
        run_id: The run of the experiment, whose recipe the unit overrides.
        folder: Folder of the experiment.
        unit: The unit.
    """
    recipe = load_recipe(Run(store, run_id).recipe_uri, unit.overrides)
    run = Run(store, f"{run_id}-{unit.name}")
    run.write_recipe(recipe)
    data = prepare_data(run)
    inputs = data._asdict()
    if unit.patch:
        patches = steps.sample(run, images=data.images)
        inputs["patch_training"] = steps.train_patch(run, patches=patches, frame=data.frame)
    # A unit of no patients scores the model package as it is.
    training = steps.train_image(run, **inputs) if unit.facts.get("patients") != 0 else None
    table = _test_scores(store, recipe, data, training)
    store.write(_scores_key(folder, unit), table.to_parquet(index=False))


def _scores_key(folder: str, unit: Unit) -> str:
    return f"{folder}/units/{unit.name}.parquet"


def _test_scores(
    store: Store, recipe: Recipe, data: RunData, training: Manifest | None
) -> pd.DataFrame:
    """Return the predictions of the test images and the number of training images."""
    prepare_keras()
    from mammo_core.evaluation.inference import image_predictions
    from mammo_core.features.frame import frame_from_manifest

    frame = frame_from_manifest(store, data.frame)
    if training is not None:
        model = load_network(store, training)
        preprocessing = IMAGE_TRAINING.facts_of(training).preprocessing
    else:
        from mammo_core.registry import open_package

        package = open_package(recipe.image_training.start).load()
        model, preprocessing = package.model, package.preprocessing
    table = image_predictions(
        store, data.images, frame.split("test"), model, preprocessing, recipe.evaluation
    )
    count = len(frame.split("train")) if training is not None else 0
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
