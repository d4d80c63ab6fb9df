"""Run the trials of an experiment, each with the ordinary steps of a run."""

import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import pandas as pd

from mammo_core import steps
from mammo_core.datasets import Manifest
from mammo_core.datasets.manifests import put_bytes
from mammo_core.datasets.outputs import Attempt, Draft, reuse_or_make
from mammo_core.datasets.tables import put_table, read_table
from mammo_core.errors import MammoError, RunError
from mammo_core.experiments.kinds import EXPERIMENT, TRIAL, ExperimentFacts, TrialFacts
from mammo_core.experiments.plan import ExperimentKind, Trial
from mammo_core.models.backend import prepare_keras
from mammo_core.processes import follow_parent, run_process
from mammo_core.recipes import Recipe, load_recipe
from mammo_core.runs import Run
from mammo_core.store import Store, open_store
from mammo_core.training.kinds import IMAGE_TRAINING
from mammo_core.training.networks import load_network

_SCORES = "scores.parquet"
#: Sections of a recipe that affect no score.
_IRRELEVANT = {
    *("name", "command", "expected_time", "expected_result", "model_name"),
    *("gate", "runner", "hardware"),
}


class RunData(NamedTuple):
    """The outputs of the data steps.

    Attributes:
        tables: The tables of the source.
        images: The image dataset.
        frame: The frame.
    """

    tables: Manifest
    images: Manifest
    frame: Manifest


class Experiment:
    """An experiment in a store: its recipe, and the scores of its trials.

    Args:
        store: The object store.
        kind: The kind of experiment.
        recipe: The recipe of all trials.
        trials: The plan. The same plan and recipe have the same id.
    """

    def __init__(
        self, store: Store, kind: ExperimentKind, recipe: Recipe, trials: Sequence[Trial]
    ) -> None:
        self._config = {
            "kind": kind,
            "recipe": recipe.model_dump(mode="json", exclude=_IRRELEVANT),
            "trials": [trial.to_json() for trial in trials],
        }
        self.id = EXPERIMENT.content_id(self._config, _references(recipe, trials))
        self.run = Run(store, f"{kind}-{self.id}")
        self._store, self._kind, self._recipe, self._trials = store, kind, recipe, trials

    def scores(self) -> dict[str, pd.DataFrame]:
        """Return the test scores of the finished trials, by name."""
        return {
            name: read_table(self._store, output, _SCORES)
            for name, output in self._outputs().items()
        }

    def _outputs(self) -> dict[str, Manifest]:
        """The outputs of the finished trials, by name."""
        ids = {trial.name: _trial_id(self.id, trial) for trial in self._trials}
        outputs = {name: TRIAL.find(self._store, id) for name, id in ids.items()}
        return {name: output for name, output in outputs.items() if output is not None}

    def run_trials(
        self, trials: Sequence[Trial], workers: int, print_line: Callable[[str], None]
    ) -> None:
        """Run trials in separate processes.

        Args:
            trials: The trials to run.
            workers: Number of processes at a time.
            print_line: Called with a line when a trial starts or ends.

        Raises:
            RunError: A trial failed; all others were run.
        """
        self.run.write_recipe(self._recipe)
        failed = []

        def run(trial: Trial) -> None:
            print_line(f"started: {trial.name}")
            command = [sys.executable, "-m", "mammo_core.experiments.run", self._store.uri]
            arguments = [self.run.id, self.id, trial.to_json()]
            result = run_process([*command, *arguments], capture=False)
            if not result.succeeded:
                failed.append(f"{trial.name} ({result.failure})")
            print_line(f"{'finished' if result.succeeded else 'failed'}: {trial.name}")

        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(run, trials))
        if failed:
            raise RunError(
                f"{len(failed)} of {len(trials)} trials of the experiment failed",
                expected="exit code 0 of each",
                received=", ".join(failed),
                hint="their output is above; the same command runs the missing trials",
            )

    def publish(self, files: Mapping[str, bytes], conclusion: str) -> Manifest:
        """Publish the result, unless it is published.

        Args:
            files: The files of the result, by name.
            conclusion: The conclusion, in a sentence.
        """
        output = EXPERIMENT.output(self.id)

        def make(attempt: Attempt) -> Draft:
            folder = attempt.folder(output)
            return Draft(
                EXPERIMENT.manifest(
                    self.id,
                    config=self._config,
                    files=[
                        put_bytes(self._store, folder, name, data) for name, data in files.items()
                    ],
                    counts={"trials": len(self._trials)},
                    facts=ExperimentFacts(kind=self._kind, conclusion=conclusion),
                    lineage={name: trial.id for name, trial in self._outputs().items()},
                )
            )

        search = partial(EXPERIMENT.find, self._store, self.id)
        return reuse_or_make(self._store, output, search, make)[0]


def _references(recipe: Recipe, trials: Sequence[Trial]) -> list[tuple[str, str]]:
    """The digests of the files and models that the recipes of the trials name."""
    from mammo_core.models.weight_files import weights_digest
    from mammo_core.registry.lineage.start_identity import start_identity
    from mammo_core.runs import start_packages_of
    from mammo_core.sources.tables.table_digests import referenced_tables

    text = recipe.to_json()
    recipes = [recipe, *(load_recipe(text, trial.overrides) for trial in trials)]
    starts = {uri for each in recipes for uri in start_packages_of(each)}
    networks = [each.of_member(m) for each in recipes for m in _members(each)]
    weights = {each.patch_training.network.weights for each in networks}
    digests = ((uri, weights_digest(uri)) for uri in sorted(weights))
    return [
        *((f"start {uri}", start_identity(uri)) for uri in sorted(starts)),
        *((f"weights {uri}", digest) for uri, digest in digests if digest),
        *(
            (f"table {name}", digest)
            for source in recipe.all_sources
            for name, digest in referenced_tables(source)
        ),
    ]


def _members(recipe: Recipe) -> list[str]:
    return [member.name for member in recipe.members] or [""]


def prepare_data(run: Run) -> RunData:
    """Run the data steps of a run in this process."""
    tables = steps.index(run)
    images = steps.convert(run, tables=tables)
    return RunData(tables, images, steps.publish_features(run, tables=tables, images=images))


def run_trial(store: Store, run_id: str, experiment: str, trial: Trial) -> Manifest:
    """Run a trial and publish its test scores, unless they are published.

    Args:
        store: The object store.
        run_id: The run of the experiment, whose recipe the trial overrides.
        experiment: Id of the experiment.
        trial: The trial.
    """
    id = _trial_id(experiment, trial)
    return reuse_or_make(
        store,
        TRIAL.output(id),
        lambda: TRIAL.find(store, id),
        lambda attempt: _make_trial(attempt, id, run_id, trial),
    )[0]


def _trial_id(experiment: str, trial: Trial) -> str:
    return TRIAL.content_id({"trial": trial.to_json()}, [(EXPERIMENT.folder, experiment)])


def _make_trial(attempt: Attempt, id: str, run_id: str, trial: Trial) -> Draft:
    store = attempt.store
    recipe = load_recipe(Run(store, run_id).recipe_uri, trial.overrides)
    run = Run(store, f"{run_id}-{trial.name}")
    run.write_recipe(recipe)
    if "epochs" in trial.facts:
        return _make_leak_trial(attempt, id, run, recipe, trial)
    if "sources" in trial.facts:
        return _make_source_trial(attempt, id, run, recipe, trial)
    data = prepare_data(run)
    inputs = {"images": data.images, "frame": data.frame}
    if trial.patch:
        patches = steps.sample(run, tables=data.tables, images=data.images)
        inputs["patch_training"] = steps.train_patch(run, patches=patches, frame=data.frame)
    # A trial of no patients scores the model package as it is.
    training = steps.train_image(run, **inputs) if trial.facts.get("patients") != 0 else None
    table = _test_scores(store, recipe, data, training)
    return Draft(
        TRIAL.manifest(
            id,
            config={"trial": trial.to_json()},
            files=[put_table(store, attempt.folder(TRIAL.output(id)), _SCORES, table)],
            counts={"test_images": len(table)},
            facts=TrialFacts(name=trial.name, trained_on=int(table["trained_on"].iloc[0])),
            lineage={"frame": data.frame.id},
        )
    )


def _make_leak_trial(attempt: Attempt, id: str, run: Run, recipe: Recipe, trial: Trial) -> Draft:
    """A trial of the leak laboratory, which has sides and networks of its own."""
    from mammo_core.experiments.leak_trials import leak_scores

    store = attempt.store
    tables = steps.index(run)
    images = steps.convert(run, tables=tables)
    table = leak_scores(store, tables, images, trial, recipe.split.seed)
    return Draft(
        TRIAL.manifest(
            id,
            config={"trial": trial.to_json()},
            files=[put_table(store, attempt.folder(TRIAL.output(id)), _SCORES, table)],
            counts={"test_images": int(table["image_id"].nunique())},
            facts=TrialFacts(name=trial.name, trained_on=int(table["trained_on"].iloc[0])),
            lineage={"tables": tables.id, "images": images.id},
        )
    )


def _make_source_trial(attempt: Attempt, id: str, run: Run, recipe: Recipe, trial: Trial) -> Draft:
    """A trial of several sources, in which patch classifiers are compared."""
    from mammo_core.experiments.source_trials import source_scores

    table, frame = source_scores(run, recipe)
    return Draft(
        TRIAL.manifest(
            id,
            config={"trial": trial.to_json()},
            files=[put_table(attempt.store, attempt.folder(TRIAL.output(id)), _SCORES, table)],
            counts={"test_images": int(table["image_id"].nunique())},
            facts=TrialFacts(name=trial.name, trained_on=int(table["trained_on"].iloc[0])),
            lineage={"frame": frame.id},
        )
    )


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


def _main(store: str, run_id: str, experiment: str, trial: str) -> None:
    follow_parent()
    try:
        run_trial(open_store(store), run_id, experiment, Trial.from_json(trial))
    except MammoError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    _main(*sys.argv[1:])
