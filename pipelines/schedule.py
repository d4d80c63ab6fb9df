"""Recurring runs as data: the cluster is brought to the state of `manifests/recurring/*.yaml`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mammo_core.documents import MAXIMUM_YAML_BYTES, DocumentError, parse_yaml, read_bounded
from mammo_core.errors import RecipeError
from pipelines.client import KfpClient
from pipelines.cluster.run_state import RunState
from pipelines.compiled import PIPELINES, validate_parameters
from pipelines.connection import ClusterError, kfp_errors
from pipelines.cron import six_fields, with_cron

_PAGE = 100


class Schedule(BaseModel):
    """One recurring run, as described by its file.

    Attributes:
        name: Name of the recurring run.
        pipeline: `train`, `retrain`, `transfer` or `score`.
        version: Name of the uploaded version (a git sha); empty or `latest`: the one that was
            uploaded last when the schedule is created.
        cron: Five fields (minute, hour, day of the month, month, day of the week), in UTC.
        parameters: Parameters of the pipeline.
        experiment: Experiment of its runs.
        service_account: Service account of its pods; empty: KFP's default.
        enabled: Whether it runs; false creates it paused.
        description: Shown in the UI.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    pipeline: Literal["train", "retrain", "transfer", "score"]
    version: str = ""
    cron: str
    parameters: dict[str, Any] = {}
    experiment: str = "mammo"
    service_account: str = ""
    enabled: bool = True
    description: str = ""

    @field_validator("cron")
    @classmethod
    def _five_fields(cls, value: str) -> str:
        six_fields(value)
        return value


class Outcome(BaseModel):
    """What `create` did with one schedule.

    Attributes:
        name: Name of the recurring run.
        done: `created`, `replaced`, `unchanged`, `paused` or `resumed`.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    done: str


def read_schedules(paths: list[Path]) -> list[Schedule]:
    """Read schedules from files, or from all YAML files of folders.

    Raises:
        RecipeError: A file is missing or not valid, or two files use one name.
    """
    files: list[Path] = []
    for path in paths:
        files += sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    schedules: dict[str, Schedule] = {}
    for path in files:
        try:
            text = read_bounded(path, MAXIMUM_YAML_BYTES).decode()
            schedule = Schedule.model_validate(parse_yaml(text))
        except (OSError, DocumentError, UnicodeDecodeError) as error:
            raise RecipeError(
                f"The schedule {path} cannot be read",
                expected="a YAML file",
                received=" ".join(str(error).split()),
            ) from error
        except ValidationError as error:
            fault = error.errors()[0]
            raise RecipeError(
                f"The schedule {path} is wrong at {'.'.join(map(str, fault['loc'])) or 'the top'}",
                expected=f"keys of {', '.join(Schedule.model_fields)}",
                received=fault["msg"],
            ) from error
        if schedule.name in schedules:
            raise RecipeError(
                f"The schedule {path} has the name of another",
                expected="one file for each name",
                received=schedule.name,
            )
        schedules[schedule.name] = schedule
    if not schedules:
        raise RecipeError(
            "There is no schedule",
            expected="a YAML file, or a folder with some",
            received=", ".join(map(str, paths)) or "nothing",
        )
    return list(schedules.values())


#: What to do about runs in progress before their schedule is deleted: wait, end them, or raise.
OnActive = Callable[[str, list[RunState]], None]


class Schedules:
    """The recurring runs of a Kubeflow Pipelines.

    Args:
        client: How it is reached.
        look: Returns the state of a run; None: as KFP alone reports it.
    """

    def __init__(self, client: KfpClient, look: Callable[[str], RunState] | None = None) -> None:
        self._client = client
        self._settings = client.settings
        self._look = look or client.get

    def listed(self) -> list[Any]:
        """Return all recurring runs, as KFP reports them; names need not be unique."""
        recurring: list[Any] = []
        token = ""
        while True:
            with kfp_errors(self._settings, "the recurring runs"):
                page = self._client.api.list_recurring_runs(
                    page_token=token, page_size=_PAGE, namespace=self._client.namespace
                )
            recurring += page.recurring_runs or []
            token = page.next_page_token or ""
            if not token:
                return sorted(recurring, key=lambda run: str(run.display_name))

    def present(self, name: str) -> list[Any]:
        """Return the recurring runs of a name."""
        return [run for run in self.listed() if run.display_name == name]

    def create(self, schedule: Schedule, on_active: OnActive) -> Outcome:
        """Bring the cluster to the state of a schedule; do nothing if it is there already.

        KFP cannot change a recurring run: one that differs is deleted and created again.

        Args:
            schedule: The schedule.
            on_active: What to do about runs in progress of one that differs.

        Raises:
            RecipeError: A parameter does not fit the pipeline.
            ClusterError: The pipeline was not uploaded, or KFP refuses.
        """
        name = pipeline_name(schedule.pipeline)
        requested = "" if schedule.version == "latest" else schedule.version
        version = self._client.uploaded(name, requested)
        validate_parameters(self._client.version_text(*version), schedule.parameters)
        present = self.present(schedule.name)
        same = [run for run in present if _same(run, schedule, version)]
        for run in present:
            if run not in same[:1]:
                self._remove(run, on_active)
        if same:
            if _enabled(same[0]) == schedule.enabled:
                return Outcome(name=schedule.name, done="unchanged")
            self._switch(same[0], schedule.enabled)
            return Outcome(name=schedule.name, done="resumed" if schedule.enabled else "paused")
        experiment = self._client.experiment(schedule.experiment)
        with kfp_errors(self._settings, f"the recurring run {schedule.name}"):
            self._client.api.create_recurring_run(
                experiment,
                schedule.name,
                description=with_cron(schedule.description, schedule.cron),
                cron_expression=six_fields(schedule.cron),
                max_concurrency=1,
                no_catchup=True,
                params=schedule.parameters,
                pipeline_id=version[0],
                version_id=version[1],
                enabled=schedule.enabled,
                service_account=schedule.service_account or None,
            )
        return Outcome(name=schedule.name, done="replaced" if present else "created")

    def switch(self, name: str, enabled: bool) -> list[RunState]:
        """Resume or pause a recurring run.

        Returns:
            Its runs in progress, which go on.

        Raises:
            ClusterError: There is none of this name.
        """
        active: list[RunState] = []
        for run in self._known(name):
            self._switch(run, enabled)
            active += self.active(run)
        return active

    def delete(self, name: str, on_active: OnActive) -> bool:
        """Delete a recurring run; no error when there is none.

        Args:
            name: Name of the recurring run.
            on_active: What to do about its runs in progress.

        Returns:
            Whether there was one.
        """
        present = self.present(name)
        for run in present:
            self._remove(run, on_active)
        return bool(present)

    def active(self, run: Any) -> list[RunState]:
        """Return the runs of a recurring run that are in progress."""
        states = self._client.runs_of_schedule(run.recurring_run_id)
        # A run whose Workflow was deleted says RUNNING without end: a closer look tells.
        return [state for state in states if not state.final and not self._look(state.run_id).final]

    def _remove(self, run: Any, on_active: OnActive) -> None:
        """Delete a recurring run, after its runs have ended.

        KFP deletes the Workflows of its runs with it: a training would die without a word, and its
        run say RUNNING without end. It starts no other run meanwhile.
        """
        was_enabled = _enabled(run)
        if was_enabled:
            self._switch(run, enabled=False)
        try:
            active = self.active(run)
            if active:
                on_active(run.display_name, active)
        except BaseException:
            if was_enabled:
                self._switch(run, enabled=True)
            raise
        with kfp_errors(self._settings, f"the recurring run {run.display_name}"):
            self._client.api.delete_recurring_run(run.recurring_run_id)

    def _switch(self, run: Any, enabled: bool) -> None:
        api = self._client.api
        with kfp_errors(self._settings, f"the recurring run {run.display_name}"):
            change = api.enable_recurring_run if enabled else api.disable_recurring_run
            change(run.recurring_run_id)

    def _known(self, name: str) -> list[Any]:
        present = self.present(name)
        if not present:
            names = dict.fromkeys(str(run.display_name) for run in self.listed())
            raise ClusterError(
                f"Kubeflow Pipelines at {self._settings.host} has no recurring run {name}",
                expected=", ".join(names) or "none is there",
                received=name,
            )
        return present


def pipeline_name(pipeline: str) -> str:
    """Return the name of one of our pipelines in KFP."""
    return f"mammo-{pipeline}" if pipeline in PIPELINES else pipeline


def _enabled(run: Any) -> bool:
    return run.status == "ENABLED" or (run.status is None and run.mode == "ENABLE")


def _same(run: Any, schedule: Schedule, version: tuple[str, str]) -> bool:
    trigger = run.trigger.cron_schedule if run.trigger else None
    reference = run.pipeline_version_reference
    config = run.runtime_config
    return (
        trigger is not None
        and trigger.cron == six_fields(schedule.cron)
        and reference is not None
        and (reference.pipeline_id, reference.pipeline_version_id) == version
        and (config.parameters if config else None or {}) == schedule.parameters
        and int(run.max_concurrency or 0) == 1
        and bool(run.no_catchup)
        and (not schedule.service_account or run.service_account == schedule.service_account)
        and (run.description or "") == with_cron(schedule.description, schedule.cron)
    )
