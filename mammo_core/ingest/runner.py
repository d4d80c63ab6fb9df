"""Run a Beam pipeline: runners, errors that keep their parts, progress."""

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from mammo_core import errors
from mammo_core.errors import MammoError, RecipeError, StoreError
from mammo_core.progress import Progress, progress
from mammo_core.store.file import DISK_FULL

_MARK = "mammo-error:"

#: Short names of the runners, for recipes.
RUNNERS: Final = {
    "direct": "DirectRunner",
    "prism": "PrismRunner",
    "flink": "FlinkRunner",
    "spark": "SparkRunner",
    "dataflow": "DataflowRunner",
}


class RunnerConfig(BaseModel):
    """Where the work of a Beam pipeline is done; never part of the id of an output.

    Attributes:
        runner: direct, prism, flink, spark or dataflow; Beam's names are accepted, too.
        mode: Whether the workers of the Direct runner are threads or processes.
        workers: Workers of the Direct runner; 0 means one for each core.
        options: More options of Beam, as on its command line.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    runner: str = "DirectRunner"
    mode: Literal["threads", "processes"] = "threads"
    workers: int = Field(default=0, ge=0)
    options: tuple[str, ...] = ()

    @field_validator("runner")
    @classmethod
    def _full_name(cls, value: str) -> str:
        name = RUNNERS.get(value.lower(), value)
        if name not in RUNNERS.values():
            raise ValueError(f"one of {', '.join(RUNNERS)}")
        return name

    @property
    def in_this_process(self) -> bool:
        """Whether the workers are threads of the process that runs the pipeline."""
        if self.runner == "DirectRunner":
            return self.mode == "threads"
        return self.runner == "PrismRunner" and not self._has_option("--environment_type")

    def flags(self) -> list[str]:
        """Return the options of Beam's command line.

        Raises:
            RecipeError: The runner is Prism and its binary is missing.
        """
        flags = [f"--runner={self.runner}", "--default_sdk_harness_log_level=ERROR"]
        if self.runner == "DirectRunner":
            workers = self.workers or len(os.sched_getaffinity(0))
            mode = "multi_threading" if self.mode == "threads" else "multi_processing"
            flags += [f"--direct_running_mode={mode}", f"--direct_num_workers={workers}"]
        if self.runner == "PrismRunner":
            if not self._has_option("--prism_location"):
                flags.append(f"--prism_location={_prism()}")
            if not self._has_option("--prism_log_level"):
                flags.append("--prism_log_level=error")
            if not self._has_option("--environment_type"):
                flags.append("--environment_type=LOOPBACK")  # work in this process
        return [*flags, *self.options]

    def _has_option(self, name: str) -> bool:
        return any(option.partition("=")[0] == name for option in self.options)


def _prism() -> str:
    """Return the path of Prism's binary; without one, Beam would download it."""
    built = Path(".tools/bin/prism")
    path = (
        os.environ.get("MAMMO_PRISM")
        or (str(built.absolute()) if built.exists() else None)
        or shutil.which("prism")
    )
    if path is None or not os.access(path, os.X_OK):
        raise RecipeError(
            "The Prism runner cannot be started",
            expected="its binary: MAMMO_PRISM, .tools/bin/prism or prism on the PATH",
            received=path or "none",
            hint="`make prism` builds it (needs Go)",
        )
    return path


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


def run(build: Callable[[Any], None], config: RunnerConfig) -> None:
    """Run the pipeline that `build` constructs, and wait until it ends.

    Raises:
        MammoError: A `guarded` function of the pipeline raised it.
    """
    with _quiet_logs():
        _run(build, config)


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


def _run(build: Callable[[Any], None], config: RunnerConfig) -> None:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    flags = config.flags()
    try:
        options = PipelineOptions(flags)
        runner = _direct_runner(options) if config.runner == "DirectRunner" else None
        with beam.Pipeline(runner=runner, options=options) as pipeline:
            build(pipeline)
    except Exception as error:
        raise _original_error(error) from error


def _direct_runner(options: Any) -> Any:
    """Return the runner that Beam's DirectRunner falls back to.

    DirectRunner itself tries to download Prism first, so it would be another runner with a
    network than without one.
    """
    from apache_beam.portability.api import beam_provision_api_pb2
    from apache_beam.runners.portability.fn_api_runner import fn_runner
    from apache_beam.runners.portability.portable_runner import JobServiceHandle

    encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options())
    info = beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded)
    return fn_runner.FnApiRunner(provision_info=fn_runner.ExtendedProvisionInfo(info))


def _original_error(error: Exception) -> Exception:
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
