"""Parameters, metrics, models and links of runs and steps in MLflow.

The plugin of Kubeflow Pipelines makes a run of MLflow for each task, names it to the pod
(MLFLOW_RUN_ID) and ends it: a step then logs to that run and makes none. Without the plugin, a run
of ours is a run of MLflow, and its steps are nested in it.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from mammo_core.datasets import Manifest
from mammo_core.tracking.config import TrackingConfig
from mammo_core.tracking.events import RunEnd, StepEnd, StepStart, TrackedRun, numbers_of
from mammo_core.tracking.report import register_tracker

#: Sections of a recipe that say how a model came about: no address, path or credential is in them.
_SECTIONS: Final = (
    "name", "model_name", "seed", "shuffle_labels", "convert", "intensity", "split", "sampling",
    "label_map", "patch_training", "image_training", "members", "evaluation", "regions", "gate",
)  # fmt: skip
#: Keys within them that may name a place.
_PLACES: Final = ("start", "weights", "split.file", "path", "uri", "root")
_ENDS: Final = {"succeeded": "FINISHED", "failed": "FAILED", "terminated": "KILLED"}
_RUN, _STEP, _STATE = "mammo.run", "mammo.step", "mammo.step_state"


class MlflowTracker:
    """Logs to an MLflow server.

    Args:
        config: The server and the experiment.
    """

    def __init__(self, config: TrackingConfig) -> None:
        from mammo_core.tracking.mlflow_client import MlflowClient

        self._address = os.environ.get("MLFLOW_TRACKING_URI") or config.mlflow
        self._client = MlflowClient(self._address)
        #: The runs of Kubeflow Pipelines for this task, and for the run that it belongs to.
        self._given = os.environ.get("MLFLOW_RUN_ID", "")
        self._given_parent = _given_parent() or self._given
        self._experiment_name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or config.experiment
        self._experiment_id = os.environ.get("MLFLOW_EXPERIMENT_ID", "")
        self._steps: dict[str, str] = {}

    def run_started(self, run: TrackedRun) -> None:
        """Make the run, or take the one of the task, and log the recipe as its parameters."""
        parent = self._given_parent or self._find_or_create(run)
        self._client.log(parent, parameters=dict(parameters_of(run.parameters)))

    def run_ended(self, end: RunEnd) -> None:
        """Log the numbers of the summary, and end the run and steps that were killed."""
        parent = self._given_parent or self._find_or_create(end.run)
        metrics = [(name, value, 0) for name, value in end.numbers.items()]
        tags = {"mammo.state": end.state, **_tags(end.run)}
        self._client.log(parent, metrics=metrics, tags=tags, time=end.ended)
        if not self._given:
            killed = {"mlflow.parentRunId": parent, _STATE: "running"}
            for step in self._client.search_runs(self._experiment, killed):
                self._client.end_run(step, "KILLED", end.ended)
            self._client.end_run(parent, _ENDS.get(end.state, "FAILED"), end.ended)

    def step_started(self, start: StepStart) -> None:
        """Make a run for the step, or take the one of its task."""
        tags = {_STATE: "running"}
        for manifest in start.inputs:
            tags[f"mammo.input.{manifest.kind.replace('/', '.')}"] = _uri(start.run, manifest)
        if self._given:
            self._client.log(self._given, tags={**_tags(start.run), **self._named(start, tags)})
            self._steps[start.attempt] = self._given
            return
        marks = {**_tags(start.run), _STEP: start.step}
        marks["mlflow.parentRunId"] = self._find_or_create(start.run)
        self._steps[start.attempt] = self._client.create_run(
            self._experiment, start.step, {**tags, **marks}, start.started
        )

    def step_ended(self, end: StepEnd) -> None:
        """Log numbers and output of a step, register a model that it pushed, and end its run."""
        run = self._steps[end.start.attempt]
        tags = {_STATE: end.state, "mammo.reused": str(end.reused).lower()}
        if end.error:
            tags["mammo.error"] = end.error
        if end.output is not None:
            tags["mammo.output"] = _uri(end.start.run, end.output)
        tags |= {
            f"mammo.{name}": str(end.facts[name])
            for name in ("model_uri", "model_id")
            if end.facts.get(name)
        }
        counts = end.output.counts if end.output is not None else {}
        metrics = [(name, value, 0) for name, value in numbers_of({**counts, **end.facts}).items()]
        metrics += _curves(end.history)
        self._client.log(
            run,
            metrics=[(self._name(end.start, name), value, epoch) for name, value, epoch in metrics],
            tags=self._named(end.start, tags),
            time=end.ended,
        )
        self._register(end, run)
        if not self._given:
            self._client.end_run(run, _ENDS[end.state], end.ended)

    def _name(self, start: StepStart, name: str) -> str:
        """Return a name of the step's own: steps of one task share the run of the task."""
        return f"{start.step}.{name}" if self._given else name

    def _named(self, start: StepStart, tags: Mapping[str, str]) -> dict[str, str]:
        return {self._name(start, name): value for name, value in tags.items()}

    def _register(self, end: StepEnd, run: str) -> None:
        uri, name = end.facts.get("model_uri"), end.start.run.parameters.get("model_name")
        # A server takes no model from a folder of another machine.
        if uri and name and "://" in str(uri) and not str(uri).startswith("file:"):
            tags = {"mammo.model_id": str(end.facts.get("model_id", "")), **_tags(end.start.run)}
            self._client.register_version(str(name), str(uri), run, tags)

    @property
    def _experiment(self) -> str:
        self._experiment_id = self._experiment_id or self._client.experiment(self._experiment_name)
        return self._experiment_id

    def _find_or_create(self, run: TrackedRun) -> str:
        marks = {**_tags(run), "mammo.level": "run"}
        runs = self._client.search_runs(self._experiment, marks)
        if runs:
            return runs[0]
        return self._client.create_run(self._experiment, run.id, marks, time.time())


def parameters_of(recipe: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Return the values of a recipe that say how a model came about, by the names of their keys."""
    for section in _SECTIONS:
        if section in recipe:
            yield from _flat(section, recipe[section])


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in _PLACES:
                yield from _flat(f"{name}.{key}", inner)
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        for number, inner in enumerate(value):
            yield from _flat(f"{name}.{number}", inner)
    elif value is not None:
        yield name, str(value)


def _curves(history: Sequence[Mapping[str, Any]]) -> list[tuple[str, float, int]]:
    """Return the numbers of each epoch, epochs from 1."""
    return [
        (f"epoch.{name}", value, number)
        for number, row in enumerate(history, start=1)
        for name, value in numbers_of(row).items()
        if name != "epoch"
    ]


def _given_parent() -> str:
    """Return the run of MLflow that Kubeflow Pipelines has for the whole run; empty without."""
    try:
        config = json.loads(os.environ.get("KFP_MLFLOW_CONFIG", "{}"))
    except ValueError:
        return ""
    return str(config.get("parentRunId", "")) if isinstance(config, dict) else ""


def _tags(run: TrackedRun) -> dict[str, str]:
    return {_RUN: run.id, "mammo.store": run.store}


def _uri(run: TrackedRun, manifest: Manifest) -> str:
    return f"{run.store}/{manifest.key}"


def _open(config: TrackingConfig) -> MlflowTracker | None:
    address = os.environ.get("MLFLOW_TRACKING_URI") or config.mlflow
    return MlflowTracker(config) if address.startswith(("http://", "https://")) else None


register_tracker("mlflow", _open)
