"""Recurring runs as data: the cluster is brought to the state of `manifests/recurring/*.yaml`."""

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mammo_core.documents import MAXIMUM_YAML_BYTES, DocumentError, parse_yaml, read_bounded
from mammo_core.errors import RecipeError
from pipelines.client import KfpClient
from pipelines.compiled import PIPELINES, validate_parameters
from pipelines.connection import ClusterError, kfp_errors

_MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
#: Name, lowest and highest value, and names of the values of the five fields.
_FIELDS: tuple[tuple[str, int, int, list[str]], ...] = (
    ("minute", 0, 59, []),
    ("hour", 0, 23, []),
    ("day of the month", 1, 31, []),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_ITEM = re.compile(r"(?:(\*)|([0-9a-z]+)(?:-([0-9a-z]+))?)(?:/([0-9]+))?")
_PAGE = 100


class Schedule(BaseModel):
    """One recurring run, as described by its file.

    Attributes:
        name: Name of the recurring run.
        pipeline: `train`, `retrain`, `transfer` or `score`.
        version: Name of the uploaded version (a git sha); empty: the latest when it is created.
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


def six_fields(cron: str) -> str:
    """Turn a cron expression of five fields into KFP's, which begins with seconds.

    Args:
        cron: Five fields, or one of @hourly, @daily, @weekly, @monthly, @yearly.

    Raises:
        ValueError: It is none.
    """
    fields = _MACROS.get(cron.strip(), cron).split()
    if len(fields) != len(_FIELDS):
        raise ValueError(
            "a cron expression has five fields: minute, hour, day of the month, month, day of "
            f"the week; received {len(fields)}: {cron!r}"
        )
    checked = [_checked(field, *known) for field, known in zip(fields, _FIELDS, strict=True)]
    return " ".join(["0", *checked])


def _checked(field: str, what: str, low: int, high: int, names: list[str]) -> str:
    items = []
    for item in field.lower().split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise ValueError(f"the {what} {field!r} is not like *, 5, 1-5, */10 or 1,15")
        star, first, last, pace = match.groups()
        values = [_value(text, what, low, high, names) for text in (first, last) if text]
        if len(values) == 2 and values[0] > values[1]:
            raise ValueError(f"the {what} {field!r} runs backwards")
        if pace is not None and not 1 <= int(pace) <= high:
            raise ValueError(f"the {what} {field!r} has a step outside 1 to {high}")
        if high == 7 and 7 in values:  # Sunday is 0 for KFP, 7 is unknown to it
            spread = range(values[0], values[-1] + 1, int(pace or 1))
            items += [str(day % 7) for day in spread]
            continue
        text = "*" if star else "-".join(map(str, values))
        items.append(f"{text}/{pace}" if pace else text)
    return ",".join(dict.fromkeys(items))


def _value(text: str, what: str, low: int, high: int, names: list[str]) -> int:
    if text in names:
        return names.index(text) + low
    if not text.isdecimal() or not low <= int(text) <= high:
        raise ValueError(f"the {what} is {low} to {high}; received {text!r}")
    return int(text)


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


class Schedules:
    """The recurring runs of a Kubeflow Pipelines.

    Args:
        client: How it is reached.
    """

    def __init__(self, client: KfpClient) -> None:
        self._client = client
        self._settings = client.settings

    def present(self) -> dict[str, Any]:
        """Return name → recurring run, as KFP reports it."""
        recurring: dict[str, Any] = {}
        token = ""
        while True:
            with kfp_errors(self._settings, "the recurring runs"):
                page = self._client.api.list_recurring_runs(
                    page_token=token, page_size=_PAGE, namespace=self._client.namespace
                )
            for run in page.recurring_runs or []:
                recurring[run.display_name] = run
            token = page.next_page_token or ""
            if not token:
                return recurring

    def create(self, schedule: Schedule) -> Outcome:
        """Bring the cluster to the state of a schedule; do nothing if it is there already.

        KFP cannot change a recurring run: one that differs is deleted and created again.

        Raises:
            RecipeError: A parameter does not fit the pipeline.
            ClusterError: The pipeline was not uploaded, or KFP refuses.
        """
        name = pipeline_name(schedule.pipeline)
        version = self._client.uploaded(name, schedule.version)
        validate_parameters(self._client.version_text(*version), schedule.parameters)
        present = self.present().get(schedule.name)
        if present is not None and _same(present, schedule, version):
            if _enabled(present) == schedule.enabled:
                return Outcome(name=schedule.name, done="unchanged")
            self.switch(schedule.name, schedule.enabled)
            return Outcome(name=schedule.name, done="resumed" if schedule.enabled else "paused")
        experiment = self._client.experiment(schedule.experiment)
        if present is not None:
            self._delete(present)
        with kfp_errors(self._settings, f"the recurring run {schedule.name}"):
            self._client.api.create_recurring_run(
                experiment,
                schedule.name,
                description=schedule.description,
                cron_expression=six_fields(schedule.cron),
                max_concurrency=1,
                no_catchup=True,
                params=schedule.parameters,
                pipeline_id=version[0],
                version_id=version[1],
                enabled=schedule.enabled,
                service_account=schedule.service_account or None,
            )
        return Outcome(name=schedule.name, done="created" if present is None else "replaced")

    def switch(self, name: str, enabled: bool) -> None:
        """Resume or pause a recurring run.

        Raises:
            ClusterError: There is none of this name.
        """
        run = self._known(name)
        with kfp_errors(self._settings, f"the recurring run {name}"):
            change = (
                self._client.api.enable_recurring_run
                if enabled
                else self._client.api.disable_recurring_run
            )
            change(run.recurring_run_id)

    def delete(self, name: str) -> bool:
        """Delete a recurring run; no error when there is none.

        Returns:
            Whether there was one.
        """
        run = self.present().get(name)
        if run is None:
            return False
        self._delete(run)
        return True

    def _delete(self, run: Any) -> None:
        with kfp_errors(self._settings, f"the recurring run {run.display_name}"):
            self._client.api.delete_recurring_run(run.recurring_run_id)

    def _known(self, name: str) -> Any:
        present = self.present()
        if name not in present:
            raise ClusterError(
                f"Kubeflow Pipelines at {self._settings.host} has no recurring run {name}",
                expected=", ".join(sorted(present)) or "none is there",
                received=name,
            )
        return present[name]


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
        and (run.description or "") == schedule.description
    )
