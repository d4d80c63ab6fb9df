"""Run a Beam pipeline: runners, errors that keep their parts, progress."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mammo_core import errors
from mammo_core.errors import MammoError, StoreError
from mammo_core.ingest.engines import Build, Engine, find_engine
from mammo_core.progress import Progress, progress
from mammo_core.store.file import DISK_FULL

_MARK = "mammo-error:"


class RunnerConfig(BaseModel):
    """Where the work of a Beam pipeline is done; never part of the id of an output.

    Attributes:
        runner: direct, prism or dask; or flink, spark or dataflow, which are untested. Beam's names
            are accepted, too.
        mode: Whether the workers of the Direct runner are threads or processes.
        workers: Workers of the Direct runner; 0 means one for each core.
        address: Address of the scheduler of Dask, for instance tcp://dask-scheduler:8786; empty:
            that of the environment, DASK_SCHEDULER_ADDRESS.
        options: More options of Beam, as on its command line.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    runner: str = "DirectRunner"
    mode: Literal["threads", "processes"] = "threads"
    workers: int = Field(default=0, ge=0)
    address: str = Field(default="", pattern=r"^$|^(tcp|tls|ws|wss)://[^\s/]+$")
    options: tuple[str, ...] = ()

    @field_validator("runner")
    @classmethod
    def _full_name(cls, value: str) -> str:
        return find_engine(value).beam_name

    @model_validator(mode="after")
    def _require_dask_for_address(self) -> "RunnerConfig":
        if self.address and self.engine.name != "dask":
            raise ValueError(f"an address is Dask's; the runner is {self.engine.name}")
        return self

    @property
    def engine(self) -> Engine:
        """The engine of the runner."""
        return find_engine(self.runner)

    @property
    def in_this_process(self) -> bool:
        """Whether the workers are threads of the process that runs the pipeline."""
        return self.engine.works_here(self)

    def flags(self) -> list[str]:
        """Return the options of Beam's command line.

        Raises:
            RecipeError: The runner lacks what it needs: its binary, or an address.
        """
        flags = [f"--runner={self.runner}", "--default_sdk_harness_log_level=ERROR"]
        return [*flags, *self.engine.flags(self), *self.options]

    def has_option(self, name: str) -> bool:
        """Whether an option of Beam is among `options`."""
        return any(option.partition("=")[0] == name for option in self.options)


class WorkerError(Exception):
    """Carries a MammoError through a runner as text: runners keep only the text of errors."""


def guarded(work: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function of a Beam transform so that its errors reach the caller of `run`."""

    def wrapped(*args: Any) -> Any:
        try:
            return work(*args)
        except MammoError as error:
            parts = [type(error).__name__, error.problem, error.expected, error.received]
            raise WorkerError(f"{_MARK}{json.dumps([*parts, error.hint])}") from error
        except MemoryError as error:
            parts = ["MammoError", "Out of memory", "more free memory", "less than the work needs"]
            hint = "give the step more memory, or fewer workers (runner.workers)"
            raise WorkerError(f"{_MARK}{json.dumps([*parts, hint])}") from error
        except OSError as error:
            expected = "free disk space" if error.errno in DISK_FULL else "a working disk"
            parts = ["StoreError", "Reading or writing failed", expected]
            received = error.strerror or type(error).__name__
            raise WorkerError(f"{_MARK}{json.dumps([*parts, received, None])}") from error

    return wrapped


def run(build: Build, config: RunnerConfig) -> None:
    """Run the pipeline that `build` constructs, and wait until it ends.

    Raises:
        MammoError: A `guarded` function of the pipeline raised it.
    """
    with _quiet_logs():
        try:
            config.engine.run(build, config.flags())
        except MammoError:
            raise
        except Exception as error:
            raise original_error(error) from error


@contextmanager
def _quiet_logs() -> Iterator[None]:
    """Silence Beam's messages about optional cloud packages."""
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.CRITICAL)
    # Reports at exit that it stops the server it started.
    logging.getLogger("apache_beam.utils.subprocess_server").setLevel(logging.ERROR)
    try:
        yield
    finally:
        logging.getLogger().setLevel(level)


def original_error(error: Exception) -> Exception:
    """Return the MammoError that a worker raised, or the error itself."""
    text = str(error)
    if _MARK not in text:
        return error
    start = text.index(_MARK) + len(_MARK)
    try:
        name, problem, expected, received, hint = json.JSONDecoder().raw_decode(text[start:])[0]
    except ValueError:
        return error
    error_class: type[MammoError] = getattr(errors, name, StoreError)
    return error_class(problem, expected=expected, received=received, hint=hint)


# Workers in other processes have no bar, and show nothing.
_bar: Progress | None = None


@contextmanager
def show_progress(label: str, total: int, unit: str) -> Iterator[None]:
    """Show the progress that `advance` reports from workers in this process."""
    global _bar
    with progress(label, total, unit) as _bar:
        try:
            yield
        finally:
            _bar = None


def advance(count: int = 1) -> None:
    """Count finished units; may be called from any thread."""
    if _bar is not None:
        _bar.advance(count)
