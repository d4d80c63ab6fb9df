"""The engines that run a Beam pipeline: their names, their options of Beam's command line."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mammo_core.errors import MammoError, RecipeError, RunError
from mammo_core.processes import works_lighter

if TYPE_CHECKING:
    from mammo_core.ingest.runner import RunnerConfig

#: Constructs a pipeline; called once more when an engine was lost in the middle of the work.
Build = Callable[[Any], None]


@dataclass(frozen=True)
class Engine:
    """One engine.

    Attributes:
        name: Its name in recipes.
        beam_name: The name of its runner in Beam.
        flags: Returns its options of Beam's command line, before those of the recipe.
        run: Runs a pipeline with all options, and waits until it ends.
        works_here: Whether its workers are threads of this process.
        is_tested: Whether it was ever run with our pipelines.
    """

    name: str
    beam_name: str
    flags: Callable[["RunnerConfig"], list[str]]
    run: Callable[[Build, list[str]], None]
    works_here: Callable[["RunnerConfig"], bool]
    is_tested: bool = True

    @property
    def class_name(self) -> str:
        """The class of its runner in Beam."""
        return self.beam_name.rpartition(".")[2]


_ENGINES: dict[str, Engine] = {}


def register_engine(engine: Engine) -> None:
    """Add an engine; its name becomes a value of the recipe key `runner.runner`."""
    _ENGINES[engine.name] = engine


def find_engine(name: str) -> Engine:
    """Return the engine with a name, ours or Beam's.

    Raises:
        ValueError: There is none.
    """
    for engine in _ENGINES.values():
        if name.lower() == engine.name or name in (engine.beam_name, engine.class_name):
            return engine
    tested = ", ".join(engine.name for engine in _ENGINES.values() if engine.is_tested)
    others = ", ".join(engine.name for engine in _ENGINES.values() if not engine.is_tested)
    raise ValueError(f"one of {tested}, or {others}, which are untested")


def _run_by_beam(build: Build, flags: list[str]) -> None:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    with beam.Pipeline(options=PipelineOptions(flags)) as pipeline:
        build(pipeline)


def _run_untested(build: Build, flags: list[str]) -> None:
    runner = flags[0].partition("=")[2]  # a class of Beam
    print(f"[beam] warning: {runner} is untested: this project never ran it", flush=True)
    try:
        _run_by_beam(build, flags)
    except MammoError:
        raise
    except Exception as error:
        from mammo_core.ingest.runner import original_error

        ours = original_error(error)
        if isinstance(ours, MammoError):
            raise ours from error
        raise RunError(
            f"The pipeline failed on {runner}, which is untested",
            expected="an engine on which our pipelines were run: direct, prism or dask",
            received=f"{type(error).__name__}: {error}"[:500],
            hint="docs/runners.md says what each engine needs; finished shards are kept",
        ) from error


def _run_direct(build: Build, flags: list[str]) -> None:
    """Run on the runner that Beam's DirectRunner falls back to.

    DirectRunner itself tries to download Prism first, so it would be another runner with a
    network than without one.
    """
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.portability.api import beam_provision_api_pb2
    from apache_beam.runners.portability.fn_api_runner import fn_runner
    from apache_beam.runners.portability.portable_runner import JobServiceHandle

    options = PipelineOptions(flags)
    encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options())
    info = beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded)
    runner = fn_runner.FnApiRunner(provision_info=fn_runner.ExtendedProvisionInfo(info))
    with beam.Pipeline(runner=runner, options=options) as pipeline:
        build(pipeline)


def _direct_flags(config: "RunnerConfig") -> list[str]:
    workers = 1 if works_lighter() else config.workers or len(os.sched_getaffinity(0))
    mode = "multi_threading" if config.mode == "threads" else "multi_processing"
    return [f"--direct_running_mode={mode}", f"--direct_num_workers={workers}"]


def _prism_flags(config: "RunnerConfig") -> list[str]:
    flags = []
    if not config.has_option("--prism_location"):
        flags.append(f"--prism_location={_prism()}")
    if not config.has_option("--prism_log_level"):
        flags.append("--prism_log_level=error")
    if not config.has_option("--environment_type"):
        flags.append("--environment_type=LOOPBACK")  # work in this process
    return flags


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


def _dask_flags(config: "RunnerConfig") -> list[str]:
    from mammo_core.ingest.on_dask import dask_flags

    return dask_flags(config)


def _run_on_dask(build: Build, flags: list[str]) -> None:
    from mammo_core.ingest.on_dask import run_on_dask

    run_on_dask(build, flags)


def _no_flags(config: "RunnerConfig") -> list[str]:
    return []


def _works_elsewhere(config: "RunnerConfig") -> bool:
    return False


register_engine(
    Engine("direct", "DirectRunner", _direct_flags, _run_direct, lambda it: it.mode == "threads")
)
register_engine(
    Engine(
        "prism",
        "PrismRunner",
        _prism_flags,
        _run_by_beam,
        lambda it: not it.has_option("--environment_type"),
    )
)
register_engine(
    Engine(
        "dask",
        "apache_beam.runners.dask.dask_runner.DaskRunner",
        _dask_flags,
        _run_on_dask,
        _works_elsewhere,
    )
)
for _name in ("flink", "spark", "dataflow"):
    register_engine(
        Engine(
            _name,
            f"{_name.capitalize()}Runner",
            _no_flags,
            _run_untested,
            _works_elsewhere,
            is_tested=False,
        )
    )
