"""Run a Beam pipeline on the workers of a Dask cluster.

Dask gives the work of a lost worker to another one. Its scheduler has no memory: when it restarts,
the pipeline is submitted once more, and the shards that are finished are found. Source: Beam's
DaskRunner (apache_beam.runners.dask), and https://distributed.dask.org/en/stable/resilience.html.
"""

import logging
import os
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from mammo_core.errors import RecipeError, RunError
from mammo_core.ingest.engines import Build

if TYPE_CHECKING:
    from mammo_core.ingest.runner import RunnerConfig

#: Dask's own name of the address of its scheduler, in the environment.
ADDRESS: Final = "DASK_SCHEDULER_ADDRESS"
#: How often a pipeline is submitted to a scheduler that was lost.
_SUBMISSIONS: Final = 4
#: How long a first connection may take, and one to a scheduler that restarts (seconds).
_CONNECT_S, _RECONNECT_S = 30, 300
#: How long the work waits for a first worker, or for another one when all are gone (seconds).
WORKERS_S: Final = 300.0
#: How often the workers are counted (seconds).
_POLL_S = 2.0


def dask_flags(config: "RunnerConfig") -> list[str]:
    """Return the options of Beam's command line for Dask.

    Raises:
        RecipeError: No scheduler is named: Beam would start workers of its own on this machine.
    """
    flags = []
    if not config.has_option("--dask_client_address"):
        address = config.address or os.environ.get(ADDRESS, "")
        if not address:
            raise RecipeError(
                "The runner dask has no cluster",
                expected=f"the address of its scheduler: runner.address, or {ADDRESS}, "
                "for instance tcp://dask-scheduler:8786",
                received="neither",
                hint="docs/runners.md shows how to start one; runner.runner=direct needs none",
            )
        flags.append(f"--dask_client_address={address}")
    if not any(map(config.has_option, ("--dask_npartitions", "--dask_partition_size"))):
        # Beam would give up to 128 shards to one task of one worker.
        flags.append("--dask_partition_size=1")
    return flags


def run_on_dask(build: Build, flags: list[str]) -> None:
    """Run a pipeline, again when the scheduler was lost, and wait until it ends.

    Raises:
        RunError: The scheduler cannot be reached, there is no worker, or workers died of a shard.
    """
    from distributed.comm.core import CommClosedError

    for number in range(_SUBMISSIONS):
        timeout = _RECONNECT_S if number else _CONNECT_S
        try:
            # The first one of an option counts less than a later one of the recipe.
            _submit([flags[0], f"--dask_connection_timeout={timeout}", *flags[1:]], build)
            return
        except (CancelledError, CommClosedError) as error:
            lost = error
            print(
                "[dask] the scheduler was lost; connecting to it again, finished shards are kept",
                flush=True,
            )
    raise RunError(
        "The scheduler of Dask was lost again and again",
        expected=f"a connection that lasts, in {_SUBMISSIONS} attempts",
        received=str(lost).splitlines()[0][:200],
        hint="its log says why it ended; then run the same command again, finished shards are kept",
    ) from lost


def _submit(flags: list[str], build: Build) -> None:
    import apache_beam as beam
    import distributed
    from apache_beam.options.pipeline_options import PipelineOptions
    from distributed.comm.core import CommClosedError

    with _quiet_logs():
        pipeline = beam.Pipeline(options=PipelineOptions(flags))
        build(pipeline)
        try:
            try:
                result = pipeline.run()
            except CommClosedError:  # lost while the pipeline was sent
                raise
            except (OSError, TimeoutError) as error:
                raise _unreachable_error(flags, error) from error
            _wait(result.client, result.futures)
        finally:
            with suppress(ValueError):  # there was no connection
                distributed.Client.current().close(timeout=5)


def _wait(client: Any, futures: Any) -> None:
    """Wait until a pipeline ends, while there are workers."""
    import distributed
    from distributed.scheduler import KilledWorker

    had_workers = time.monotonic()
    while True:
        try:
            distributed.wait(futures, timeout=_POLL_S)
            client.gather(list(futures))
            return
        except distributed.TimeoutError:
            if any(future.status == "error" for future in futures):
                raise  # the work's own
        except KilledWorker as error:
            raise RunError(
                "A shard killed one worker of Dask after the other",
                expected="workers that finish it",
                received=f"{error.allowed_failures + 1} that died",
                hint="usually of too little memory: give workers more, or fewer threads "
                "(--nthreads), or make convert.shard_mb smaller; the workers' logs say more",
            ) from error
        if client.scheduler_info(n_workers=1)["workers"]:
            had_workers = time.monotonic()
        elif time.monotonic() - had_workers > WORKERS_S:
            raise RunError(
                "The Dask cluster has no worker",
                expected=f"at least one within {WORKERS_S:.0f} s",
                received=f"none at {client.scheduler.address}",
                hint="start workers, then run the same command again; finished shards are kept",
            )


def _unreachable_error(flags: list[str], error: Exception) -> RunError:
    options = dict(flag.split("=", 1) for flag in flags if "=" in flag)
    return RunError(
        "The scheduler of Dask cannot be reached",
        expected=f"one at {options.get('--dask_client_address', 'the address of the options')}",
        received=str(error).splitlines()[0][:200] or type(error).__name__,
        hint="docs/runners.md shows how to start one; this step's pod must be able to reach it",
    )


@contextmanager
def _quiet_logs() -> Iterator[None]:
    """Silence Dask's own reports of lost connections; ours say what follows from them."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
