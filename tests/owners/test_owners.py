"""Two runs on one store, disturbed at random moments: nothing is lost or replaced.

They make the records of images and patches. `make verify-owners` does it with whole runs, and more.
"""

import subprocess
import sys
import time
from uuid import uuid4

import pytest

from mammo_core.store import open_store
from tests.owners.disturb import (
    COMPILER,
    RUN_IDS,
    Disturbance,
    Events,
    make_versioned_bucket,
    require_as_undisturbed,
    require_single_versions,
    wall_clock_library,
)
from tests.support.s3 import RestartableMinio, server_kind

pytestmark = pytest.mark.slow
LEASE_S = 1.5


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    from mammo_core.phantom import PhantomConfig, create

    root = tmp_path_factory.mktemp("owners") / "tree"
    create(root, PhantomConfig(patients=6, seed=3, height=192, width=150), workers=1)
    return root


@pytest.fixture(scope="module")
def undisturbed(source, tmp_path_factory):
    """A store that one run has filled alone, and the ids of its outputs."""
    work = tmp_path_factory.mktemp("undisturbed")
    store = open_store((work / "store").as_uri())
    disturbance = Disturbance(work, source, extent="records", lease_s=LEASE_S, seed=0)
    (ids,) = disturbance.run(store, ("undisturbed",), Events(0, 0), 1)
    return store, ids


def events(restarts=0):
    return Events(stops=1, kills=1, jumps=1 if COMPILER else 0, restarts=restarts)


def test_two_disturbed_runs_in_a_folder(source, undisturbed, tmp_path):
    plain, ids = undisturbed
    store = open_store((tmp_path / "store").as_uri())
    disturbance = Disturbance(tmp_path, source, extent="records", lease_s=LEASE_S, seed=1)
    assert disturbance.run(store, RUN_IDS, events(), 0.7) == [ids, ids]
    require_as_undisturbed(store, plain)


@pytest.mark.s3
def test_two_disturbed_attempts_at_one_run_on_a_server(source, undisturbed, tmp_path, monkeypatch):
    if server_kind() != "minio":
        pytest.skip("restarts a MinIO of its own: `make minio` builds it")
    plain, ids = undisturbed
    with RestartableMinio(tmp_path) as minio:
        for name, value in minio.server.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("MAMMO_SCRATCH", str(tmp_path / "scratch"))
        make_versioned_bucket(minio.server, "owners")
        store = open_store(f"s3://owners/{uuid4().hex}")
        disturbance = Disturbance(
            tmp_path,
            source,
            extent="records",
            lease_s=LEASE_S,
            seed=2,
            restart_server=minio.restart,
        )
        assert disturbance.run(store, (RUN_IDS[0], RUN_IDS[0]), events(restarts=1), 0.7) == [
            ids,
            ids,
        ]
        require_as_undisturbed(store, plain)
        require_single_versions(minio.server, "owners")


def test_the_harness_notices_a_replaced_file(source, undisturbed, tmp_path):
    store = open_store((tmp_path / "store").as_uri())
    disturbance = Disturbance(tmp_path, source, extent="records", lease_s=LEASE_S, seed=1)
    key = f"frames/{'0' * 32}/1-00000000/a"
    store.write(key, b"1")
    disturbance._look(store)
    store.write(key, b"2")
    with pytest.raises(AssertionError, match="was replaced"):
        disturbance._look(store)


def test_the_clocks_of_the_processes_jump(tmp_path):
    if not COMPILER:
        pytest.skip("no C compiler: clocks did not jump")
    (tmp_path / "clock").write_text("3600\n")
    environment = {
        "LD_PRELOAD": str(wall_clock_library(tmp_path)),
        "WALL_CLOCK": str(tmp_path / "clock"),
    }
    code = "import time; time.sleep(0.01); print(time.time())"
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert float(done.stdout) - time.time() > 3000
