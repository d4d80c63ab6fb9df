"""`make verify-owners`: whole runs, disturbed until every event was done as often as required.

On each kind of store, pairs of runs index, convert, train, evaluate and push on a small phantom,
while they are stopped beyond their leases, killed, their clocks jump and the server restarts.
Prints what was done; ends with an error at the first difference from an undisturbed run.

    python -m tests.owners.verify_owners [--stops 20] [--kills 20] [--jumps 10] [--restarts 5]
"""

import argparse
import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

from mammo_core.phantom import PhantomConfig, create
from mammo_core.store import open_store
from tests.owners.disturb import (
    COMPILER,
    RUN_IDS,
    Disturbance,
    Events,
    make_versioned_bucket,
    require_as_undisturbed,
    require_single_versions,
)
from tests.support.s3 import RestartableMinio

_BUCKET = "owners"


def main() -> None:
    """Disturb runs in a folder and on MinIO."""
    parser = argparse.ArgumentParser()
    for name, count in (("stops", 20), ("kills", 20), ("jumps", 10), ("restarts", 5)):
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lease", type=float, default=5.0, help="time to live of leases (seconds)")
    parser.add_argument("--pause", type=float, help="mean time between events (seconds)")
    parser.add_argument("--extent", choices=("whole", "data", "records"), default="whole")
    parser.add_argument("--stores", nargs="+", default=["file", "s3"])
    options = parser.parse_args()
    if options.jumps and not COMPILER:
        raise SystemExit("error: clocks cannot jump without a C compiler; pass --jumps 0")
    with tempfile.TemporaryDirectory(prefix="verify-owners-") as folder, ExitStack() as running:
        work = Path(folder)
        source = work / "tree"
        config = PhantomConfig(
            patients=24 if options.extent == "whole" else 6, seed=3, height=192, width=150
        )
        create(source, config, workers=1)
        start = time.monotonic()
        plain = open_store((work / "plain").as_uri())
        alone = Disturbance(work, source, extent=options.extent, lease_s=options.lease, seed=0)
        (ids,) = alone.run(plain, ("undisturbed",), Events(0, 0), 1)
        length = time.monotonic() - start
        pause_s = options.pause or max(1.0, length / 10)
        print(f"undisturbed: {length:.0f} s, {ids}", flush=True)
        minio = RestartableMinio(work / "minio")
        if "s3" in options.stores:
            (work / "minio").mkdir()
            running.enter_context(minio)
            os.environ.update(minio.server.environment)
            os.environ["MAMMO_SCRATCH"] = str(work / "scratch")
            make_versioned_bucket(minio.server, _BUCKET)
        for kind in options.stores:
            events = Events(options.stops, options.kills, options.jumps)
            if kind == "s3":
                events.restarts = options.restarts
            rounds = 0
            while events.is_left or not rounds:
                rounds += 1
                name = f"{kind}-{rounds}"
                (work / name).mkdir()
                uri = (
                    f"s3://{_BUCKET}/{uuid4().hex}" if kind == "s3" else str(work / name / "store")
                )
                store = open_store(uri)
                disturbance = Disturbance(
                    work / name,
                    source,
                    extent=options.extent,
                    lease_s=options.lease,
                    seed=options.seed + rounds,
                    restart_server=minio.restart,
                )
                # Two runs, or two attempts at one.
                names = RUN_IDS if rounds % 2 else (RUN_IDS[0], RUN_IDS[0])
                printed = disturbance.run(store, names, events, pause_s)
                if printed != [ids, ids]:
                    raise SystemExit(f"error: other ids than undisturbed: {printed}")
                require_as_undisturbed(store, plain)
                if kind == "s3":
                    require_single_versions(minio.server, _BUCKET)
                done = ", ".join(f"{count} {event}" for event, count in events.done.items())
                seconds = time.monotonic() - start
                print(f"{kind}: {rounds} pairs of runs, {done}, {seconds:.0f} s", flush=True)
    print("ids as undisturbed, nothing replaced, nothing left behind")


if __name__ == "__main__":
    main()
