"""Dask gives the bytes of the direct runner for a phantom of 2,000 images while a worker is killed.

`make verify-dask`; its record is in docs/verification.md. Folders are kept: run again, it goes on.
"""

import argparse
import threading
import time
from collections.abc import Callable
from pathlib import Path

from mammo_core.ingest import ConvertConfig, RunnerConfig, convert, sample
from mammo_core.phantom import PhantomConfig, create
from mammo_core.preprocessing import Geometry
from mammo_core.sampling import SamplingConfig
from mammo_core.store import Store, open_store
from tests.support.dask_cluster import DaskCluster
from tests.support.ingest import Source, published_digests, read_tables

#: They have a little more than 2,000 images.
_PATIENTS = 930


def main() -> None:
    """Make the phantom, run both runners, compare."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path("build/verify-dask"))
    parser.add_argument("--patients", type=int, default=_PATIENTS)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    folder: Path = options.folder.absolute()
    tree = folder / f"phantom-{options.patients}"
    if not tree.exists():
        create(tree, PhantomConfig(patients=options.patients, seed=3, height=288, width=224))
    source = read_tables(tree)
    direct = open_store(str(folder / f"direct-{options.patients}"))
    seconds = _timed(lambda: _both(direct, source, RunnerConfig(workers=2)))
    print(f"direct, 2 threads: {len(source.images)} images, {seconds:.0f} s")
    store = open_store(str(folder / f"dask-{time.time_ns()}"))
    logs = folder / f"logs-{time.time_ns()}"
    logs.mkdir(parents=True)
    with DaskCluster(logs, workers=options.workers) as cluster:
        cluster.wait_for_workers(options.workers)
        thread = threading.Thread(target=lambda: _kill_one(store, cluster), daemon=True)
        thread.start()
        runner = RunnerConfig(runner="dask", address=cluster.address)
        seconds = _timed(lambda: _both(store, source, runner))
    print(f"dask, {options.workers} workers, one killed: {seconds:.0f} s")
    expected, received = published_digests(direct), published_digests(store)
    if received != expected:
        raise SystemExit("the bytes differ")
    print(f"{len(expected)} files and manifests have equal bytes")


def _both(store: Store, source: Source, runner: RunnerConfig) -> None:
    config = ConvertConfig(geometry=Geometry(height=576, width=448), shard_mb=8)
    images = convert(
        store,
        source.images,
        source.lesions,
        root=source.root,
        config=config,
        runner=runner,
        lineage={"tables": "t"},
    )
    sample(store, images, SamplingConfig(patch_size=64), 1, runner)


def _timed(work: Callable[[], None]) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start


def _kill_one(store: Store, cluster: DaskCluster) -> None:
    while sum("/notes/shard" in key for key in store.list("")) < 3:
        time.sleep(1)
    cluster.workers[0].kill()
    print("killed a worker after three shards", flush=True)
    cluster.start_worker()


if __name__ == "__main__":
    main()
