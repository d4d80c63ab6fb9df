"""How a Beam pipeline is run, and how its faults come back whole."""

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
from mammo_core.store.file import FULL

_MARK = "mammo-fault:"


#: Runners by the names that recipes may use for them.
RUNNERS: Final = {
    "direct": "DirectRunner",
    "prism": "PrismRunner",
    "flink": "FlinkRunner",
    "spark": "SparkRunner",
    "dataflow": "DataflowRunner",
}


class RunnerConfig(BaseModel):
    """Where the work of a Beam pipeline is done; never part of an output's id.

    Attributes:
        runner: direct, prism, flink, spark or dataflow; Beam's own names do too.
        mode: Whether the Direct runner's workers are threads or processes.
        workers: How many workers the Direct runner has; 0 means one for each core.
        options: Further Beam options, as on its command line.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    runner: str = "DirectRunner"
    mode: Literal["threads", "processes"] = "threads"
    workers: int = Field(default=0, ge=0)
    options: tuple[str, ...] = ()

    @field_validator("runner")
    @classmethod
    def _known(cls, value: str) -> str:
        found = RUNNERS.get(value.lower(), value)
        if found not in RUNNERS.values():
            raise ValueError(f"one of {', '.join(RUNNERS)}")
        return found

    @property
    def in_this_process(self) -> bool:
        """Whether the workers are threads of the process that runs the pipeline."""
        if self.runner == "DirectRunner":
            return self.mode == "threads"
        return self.runner == "PrismRunner" and not self._given("--environment_type")

    def flags(self) -> list[str]:
        """Return the runner as Beam's command line has it.

        Raises:
            RecipeError: Prism is asked for and there is no binary of it.
        """
        flags = [f"--runner={self.runner}", "--default_sdk_harness_log_level=ERROR"]
        if self.runner == "DirectRunner":
            workers = self.workers or len(os.sched_getaffinity(0))
            mode = "multi_threading" if self.mode == "threads" else "multi_processing"
            flags += [f"--direct_running_mode={mode}", f"--direct_num_workers={workers}"]
        if self.runner == "PrismRunner":
            if not self._given("--prism_location"):
                flags.append(f"--prism_location={_prism()}")
            if not self._given("--prism_log_level"):
                flags.append("--prism_log_level=error")
            if not self._given("--environment_type"):
                flags.append("--environment_type=LOOPBACK")  # the work stays in this process
        return [*flags, *self.options]

    def _given(self, name: str) -> bool:
        return any(option.partition("=")[0] == name for option in self.options)


def _prism() -> str:
    """The binary: MAMMO_PRISM, what `make prism` built, or one on the PATH.

    Without one Beam would download it.
    """
    built = Path(".tools/bin/prism")
    told = os.environ.get("MAMMO_PRISM") or (str(built.absolute()) if built.exists() else None)
    found = told or shutil.which("prism")
    if found is None or not os.access(found, os.X_OK):
        raise RecipeError(
            "The runner Prism cannot be started",
            expected="its binary: MAMMO_PRISM, .tools/bin/prism or prism on the PATH",
            received=found or "none",
            hint="`make prism` builds it (needs Go)",
        )
    return found


class FaultError(Exception):
    """Carries a MammoError through a runner as text: runners keep the text of errors only."""


def guarded(work: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function of a Beam step so that its MammoError reaches the driver."""

    def wrapped(*args: Any) -> Any:
        try:
            return work(*args)
        except MammoError as error:
            parts = [type(error).__name__, error.problem, error.expected, error.received]
            raise FaultError(f"{_MARK}{json.dumps([*parts, error.hint])}") from error
        except MemoryError as error:
            parts = ["MammoError", "Out of memory", "more free memory", "less than was asked for"]
            hint = "give the step more memory, or fewer workers (runner.workers)"
            raise FaultError(f"{_MARK}{json.dumps([*parts, hint])}") from error
        except OSError as error:
            expected = "space on the disk" if error.errno in FULL else "a disk that works"
            parts = ["StoreError", "Reading or writing failed", expected]
            received = error.strerror or type(error).__name__
            raise FaultError(f"{_MARK}{json.dumps([*parts, received, None])}") from error

    return wrapped


def run(build: Callable[[Any], None], config: RunnerConfig) -> None:
    """Run the pipeline that `build` constructs, and wait for its end.

    Raises:
        MammoError: What a step of the pipeline raised.
    """
    with _quiet():
        _run(build, config)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Beam's notes on optional cloud packages: no concern of our users."""
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.CRITICAL)
    # Says at the very end that it stops the server it has started.
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
        runner = _direct(options) if config.runner == "DirectRunner" else None
        with beam.Pipeline(runner=runner, options=options) as pipeline:
            build(pipeline)
    except Exception as error:
        raise _unwrapped(error) from error


def _direct(options: Any) -> Any:
    """What runs a pipeline on this machine.

    Beam's DirectRunner would first try to download Prism, and run on that if it could: not the
    same runner with and without a network. This is the one it falls back to.
    """
    from apache_beam.portability.api import beam_provision_api_pb2
    from apache_beam.runners.portability.fn_api_runner import fn_runner
    from apache_beam.runners.portability.portable_runner import JobServiceHandle

    told = JobServiceHandle.encode_pipeline_options(options.get_all_options())
    info = beam_provision_api_pb2.ProvisionInfo(pipeline_options=told)
    return fn_runner.FnApiRunner(provision_info=fn_runner.ExtendedProvisionInfo(info))


def _unwrapped(error: Exception) -> Exception:
    text = str(error)
    if _MARK not in text:
        return error
    start = text.index(_MARK) + len(_MARK)
    try:
        kind, problem, expected, received, hint = json.JSONDecoder().raw_decode(text[start:])[0]
    except ValueError:
        return error
    found: type[MammoError] = getattr(errors, kind, StoreError)
    return found(problem, expected=expected, received=received, hint=hint)
