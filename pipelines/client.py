"""What is asked of a Kubeflow Pipelines: upload, run, look, wait."""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mammo_core.errors import RecipeError
from pipelines.compiled import check_parameters, name_of
from pipelines.connection import ClusterError, KfpSettings, connect, told_in_words

#: States in which a run or task stays.
FINAL = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")
_PAGE = 100
#: A run may be told as ended while its tasks still say RUNNING: how long they are asked again.
_SETTLE_S = 30.0


@dataclass(frozen=True)
class TaskState:
    """One task of a run.

    Attributes:
        name: As in the graph.
        state: As KFP says it.
        seconds: How long it took, or has taken; None before it started.
        pods: Names of its pods.
        error: What KFP says of its failure, mostly nothing.
    """

    name: str
    state: str
    seconds: float | None
    pods: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class RunState:
    """A run as KFP tells it.

    Attributes:
        run_id: KFP's id.
        name: Of the run.
        state: Of the run.
        created: When it was submitted, ISO 8601.
        error: What KFP says of its failure.
        tasks: Its tasks, in the order in which they were made.
    """

    run_id: str
    name: str
    state: str
    created: str
    error: str = ""
    tasks: tuple[TaskState, ...] = ()

    @property
    def final(self) -> bool:
        """Whether the run has ended."""
        return self.state in FINAL


class KfpClient:
    """Kubeflow Pipelines, as far as our commands need it.

    Args:
        settings: How it is reached; it is asked at once whether it answers.
    """

    def __init__(self, settings: KfpSettings) -> None:
        self.settings = settings
        self._client = connect(settings)

    @property
    def namespace(self) -> str | None:
        """Namespace for KFP of several users; None for that of one."""
        return self.settings.namespace or None

    def upload(self, text: str, version: str, description: str = "") -> tuple[str, str, bool]:
        """Upload a compiled pipeline: a new pipeline, or a new version of one.

        Args:
            text: The compiled YAML, images in it.
            version: Name of the version, the git sha.
            description: Shown in the UI.

        Returns:
            Id of the pipeline, id of the version, and whether the version is new.
        """
        name = name_of(text)
        known = self.pipeline_id(name)
        if known is not None:
            present = self.version_id(known, version)
            if present is not None:
                return known, present, False
        with _as_file(text) as path, told_in_words(self.settings, f"the pipeline {name}"):
            if known is None:
                # KFP names the first version like the pipeline; ours is named by its git sha.
                made = self._client.upload_pipeline(
                    str(path), pipeline_name=name, description=description, namespace=self.namespace
                )
                known = made.pipeline_id
            uploaded = self._client.upload_pipeline_version(
                str(path),
                pipeline_version_name=version,
                pipeline_id=known,
                description=description,
            )
        return known, uploaded.pipeline_version_id, True

    def pipeline_id(self, name: str) -> str | None:
        """Return the id of an uploaded pipeline, or None."""
        with told_in_words(self.settings, f"the pipeline {name}"):
            found = self._client.list_pipelines(
                page_size=_PAGE, namespace=self.namespace, filter=_named(name)
            )
        return found.pipelines[0].pipeline_id if found.pipelines else None

    def version_id(self, pipeline_id: str, version: str = "") -> str | None:
        """Return the id of a version of a pipeline; of the latest where none is named."""
        with told_in_words(self.settings, f"the version {version}"):
            found = self._client.list_pipeline_versions(
                pipeline_id,
                page_size=_PAGE,
                sort_by="created_at desc",
                filter=_named(version) if version else None,
            )
        versions = found.pipeline_versions or []
        return versions[0].pipeline_version_id if versions else None

    def version_text(self, pipeline_id: str, version_id: str) -> str:
        """Return the compiled YAML of an uploaded version."""
        import yaml

        with told_in_words(self.settings, "the version"):
            found = self._client.get_pipeline_version(pipeline_id, version_id)
        spec = found.pipeline_spec
        parts = (
            [spec["pipeline_spec"], {"platforms": spec["platform_spec"]}]
            if "pipeline_spec" in spec
            else [spec]
        )
        return str(yaml.safe_dump_all(parts))

    def uploaded(self, name: str, version: str = "") -> tuple[str, str]:
        """Return the ids of an uploaded pipeline and its version.

        Raises:
            ClusterError: There is none of the name.
        """
        pipeline_id = self.pipeline_id(name)
        version_id = self.version_id(pipeline_id, version) if pipeline_id else None
        if pipeline_id is None or version_id is None:
            what = f"version {version} of the pipeline {name}" if version else f"pipeline {name}"
            raise ClusterError(
                f"Kubeflow Pipelines at {self.settings.host} has no {what}",
                expected="an uploaded one: `mammo pipeline list --pipelines` shows them",
                received="none",
                hint="`mammo pipeline upload` makes it",
            )
        return pipeline_id, version_id

    def experiment(self, name: str) -> str:
        """Return the id of an experiment, making it where there is none."""
        with told_in_words(self.settings, f"the experiment {name}"):
            made = self._client.create_experiment(name=name, namespace=self.namespace)
        return str(made.experiment_id)

    def run(
        self,
        parameters: dict[str, Any],
        *,
        name: str,
        experiment: str,
        text: str | None = None,
        version: tuple[str, str] | None = None,
        service_account: str = "",
        cache: bool | None = None,
    ) -> str:
        """Submit a run and return its id.

        Args:
            parameters: Of the pipeline.
            name: Of the run.
            experiment: Name of the experiment it belongs to.
            text: The compiled YAML, or
            version: ids of an uploaded pipeline and its version.
            service_account: That the pods run as; empty: KFP's own.
            cache: Whether KFP's cache is used; None: as compiled, which is not.

        Raises:
            RecipeError: A parameter does not fit.
            ClusterError: KFP refuses.
        """
        if text is None and version is not None:
            check_parameters(self.version_text(*version), parameters)
        elif text is not None:
            check_parameters(text, parameters)
        experiment_id = self.experiment(experiment)
        with _as_file(text) as path, told_in_words(self.settings, "the run"):
            made = self._client.run_pipeline(
                experiment_id,
                name,
                pipeline_package_path=str(path) if path else None,
                params=parameters,
                pipeline_id=version[0] if version else None,
                version_id=version[1] if version else None,
                enable_caching=cache if path else None,
                service_account=service_account or None,
            )
        return str(made.run_id)

    def get(self, run_id: str) -> RunState:
        """Return the state of a run.

        Raises:
            ClusterError: There is no such run.
        """
        with told_in_words(self.settings, f"the run {run_id}"):
            return _run_state(self._client.get_run(run_id))

    def runs(self, limit: int, experiment: str | None = None) -> list[RunState]:
        """Return the latest runs, newest first."""
        experiment_id = self.experiment(experiment) if experiment else None
        with told_in_words(self.settings, "the runs"):
            found = self._client.list_runs(
                page_size=limit,
                sort_by="created_at desc",
                experiment_id=experiment_id,
                namespace=self.namespace,
            )
        return [_run_state(run) for run in found.runs or []]

    def pipelines(self) -> list[tuple[str, str, str]]:
        """Return name, id and latest version of the uploaded pipelines."""
        with told_in_words(self.settings, "the pipelines"):
            found = self._client.list_pipelines(page_size=_PAGE, namespace=self.namespace)
            rows = []
            for pipeline in found.pipelines or []:
                versions = self._client.list_pipeline_versions(
                    pipeline.pipeline_id, page_size=1, sort_by="created_at desc"
                ).pipeline_versions
                latest = versions[0].display_name if versions else "–"
                rows.append((pipeline.display_name, pipeline.pipeline_id, latest))
        return rows

    def wait(
        self,
        run_id: str,
        timeout_s: float,
        seen: Callable[[RunState], None],
        interval_s: float = 5.0,
    ) -> RunState:
        """Ask for a run until it has ended.

        Args:
            run_id: The run.
            timeout_s: How long at most.
            seen: Gets each answer.
            interval_s: Between two questions.

        Raises:
            ClusterError: It has not ended in time.
        """
        deadline = time.monotonic() + timeout_s
        settled = None
        while True:
            state = self.get(run_id)
            seen(state)
            now = time.monotonic()
            if state.final:
                settled = now + _SETTLE_S if settled is None else settled
                open_tasks = [task for task in state.tasks if task.state not in FINAL]
                if not open_tasks or now >= min(settled, deadline):
                    return state
            if now >= deadline:
                raise ClusterError(
                    f"The run {run_id} has not ended",
                    expected=f"an end within {timeout_s:.0f} s (--timeout)",
                    received=f"state {state.state}",
                    hint=f"it goes on; `mammo pipeline wait {run_id}` waits again",
                )
            time.sleep(min(interval_s, max(0.1, deadline - now)))

    def terminate(self, run_id: str) -> None:
        """End a run."""
        with told_in_words(self.settings, f"the run {run_id}"):
            self._client.terminate_run(run_id)

    @property
    def api(self) -> Any:
        """KFP's own client, for the recurring runs."""
        return self._client

    def link(self, run_id: str) -> str:
        """Where the UI shows a run."""
        return f"{self.settings.host.rstrip('/')}/#/runs/details/{run_id}"


def failed_tasks(state: RunState) -> list[TaskState]:
    """Return the tasks that failed themselves, before those that failed with them."""
    failed = [task for task in state.tasks if task.state == "FAILED"]
    with_pods = [task for task in failed if task.pods]
    return with_pods or failed


def parsed_parameters(texts: list[str]) -> dict[str, Any]:
    """Read `name=value` texts; a value is JSON where it parses as such, else text.

    Raises:
        RecipeError: One has no `=`.
    """
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise RecipeError(
                "A parameter cannot be used", expected="name=value", received=repr(text)
            )
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value
    return values


def _run_state(run: Any) -> RunState:
    details = run.run_details.task_details if run.run_details else None
    tasks = sorted(details or [], key=lambda task: str(task.create_time or ""))
    return RunState(
        run_id=str(run.run_id),
        name=str(run.display_name),
        state=str(run.state or "PENDING"),
        created=run.created_at.isoformat(timespec="seconds") if run.created_at else "",
        error=_message(run.error),
        tasks=tuple(_task_state(task) for task in tasks),
    )


def _task_state(task: Any) -> TaskState:
    started, ended = task.start_time, task.end_time
    seconds = None
    # KFP tells 1970 for what has not begun or ended.
    if started is not None and started.year > 1970 and ended is not None and ended.year > 1970:
        seconds = max(0.0, (ended - started).total_seconds())
    pods = [task.pod_name] + [child.pod_name for child in task.child_tasks or []]
    return TaskState(
        name=str(task.display_name or task.task_id),
        state=str(task.state or "PENDING"),
        seconds=seconds,
        pods=tuple(dict.fromkeys(pod for pod in pods if pod)),
        error=_message(task.error),
    )


def _message(error: Any) -> str:
    return " ".join(str(getattr(error, "message", "") or "").split())


def _named(name: str) -> str:
    predicate = {"operation": "EQUALS", "key": "display_name", "stringValue": name}
    return json.dumps({"predicates": [predicate]})


@contextmanager
def _as_file(text: str | None) -> Iterator[Path | None]:
    if text is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="mammo-pipeline-") as folder:
        path = Path(folder) / "pipeline.yaml"
        path.write_text(text)
        yield path
