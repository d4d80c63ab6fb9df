"""How a Beam pipeline is run, and how its faults come back whole."""

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from mammo_core import errors
from mammo_core.errors import MammoError, StoreError
from mammo_core.store.file import FULL

_MARK = "mammo-fault:"


class RunnerConfig(BaseModel):
    """Where the work of a Beam pipeline is done; never part of an output's id.

    Attributes:
        runner: A Beam runner's name.
        workers: Threads of the Direct runner; 0 means one for each core.
        options: Further Beam options, as on its command line.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    runner: str = "DirectRunner"
    workers: int = Field(default=0, ge=0)
    options: tuple[str, ...] = ()


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
    try:
        yield
    finally:
        logging.getLogger().setLevel(level)


def _run(build: Callable[[Any], None], config: RunnerConfig) -> None:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    flags = [f"--runner={config.runner}", *config.options]
    if config.runner == "DirectRunner":
        workers = config.workers or len(os.sched_getaffinity(0))
        flags += ["--direct_running_mode=multi_threading", f"--direct_num_workers={workers}"]
    try:
        with beam.Pipeline(options=PipelineOptions(flags)) as pipeline:
            build(pipeline)
    except Exception as error:
        raise _unwrapped(error) from error


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
