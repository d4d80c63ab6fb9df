"""Fixtures of several rooms: an S3 server, stores, the real data. Functions: `tests.support`."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from mammo_core.processes import call, run_process
from tests.support.forked import ForkServer, processes_in_forks
from tests.support.packages import build_two_views
from tests.support.s3 import REPOSITORY, S3Server, describe_server
from tests.support.s3 import s3_server as run_s3_server


def pytest_report_header() -> list[str]:
    """Show which S3 server and which real data the tests will use."""
    return [f"S3 server: {describe_server()}", f"real data: {_real_data() or 'absent'}"]


def pytest_collection_finish() -> None:
    """Exempt what collection imported, TensorFlow among it, from each search for garbage."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """With `-n`, the tests of a folder go to one process, so that their fixtures are set up once.

    Those of models and training share nothing and are many: they are distributed by file.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFolder(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            folder = file.rpartition("/")[0]
            return file if folder in ("tests/models", "tests/training") else folder

    config.option.loadscopereorder = False  # by the count of tests: the longest have the fewest
    return ByFolder(config, log)


def _real_data() -> Path | None:
    setting = os.environ.get("MAMMO_REAL_DATA")
    folder = Path(setting) if setting else REPOSITORY.parent / "shared" / "data"
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> ForkServer:
    """Python programs that need not import TensorFlow again."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        return ForkServer(folder.parent, os.getppid())
    return ForkServer(folder, os.getpid())


@pytest.fixture(scope="session", autouse=True)
def _calls_in_forks(forks: ForkServer) -> Iterator[None]:
    with processes_in_forks(lambda: forks.python):
        yield


@pytest.fixture
def new_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls in processes of their own start like a user's: they import what they need."""
    monkeypatch.setattr(call, "run_process", run_process)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server for the whole session, on loopback, with its own credentials."""
    with run_s3_server(tmp_path_factory.mktemp("s3-server")) as server:
        yield server


@pytest.fixture
def s3_environment(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> S3Server:
    """The server, with its address and credentials in the environment."""
    if s3_server.kind == "moto":
        pytest.skip("moto has no atomic conditional writes: `make minio` builds a server that has")
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MAMMO_SCRATCH", str(tmp_path / "scratch"))
    return s3_server


@pytest.fixture(params=["file", pytest.param("s3", marks=pytest.mark.s3)])
def store(request: pytest.FixtureRequest, tmp_path: Path):
    """An empty store of each kind."""
    from mammo_core.store import open_store

    if request.param == "file":
        return open_store((tmp_path / "store").as_uri())
    request.getfixturevalue("s3_environment")
    return open_store(f"s3://mammo-tests/{uuid4().hex}")


@pytest.fixture
def file_store(tmp_path: Path):
    """An empty store in a folder."""
    from mammo_core.store import open_store

    return open_store((tmp_path / "store").as_uri())


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data: MAMMO_REAL_DATA, or shared/data beside the repository."""
    folder = _real_data()
    if folder is None:
        pytest.skip("no real data: set MAMMO_REAL_DATA, or put it into ../shared/data")
    return folder


@pytest.fixture(scope="session")
def two_views(tmp_path_factory):
    """A package of two views whose breasts are decided at 0.4, and its images at 0.9."""
    from mammo_core.evaluation.decisions import DecisionRules, LevelRules, NamedPoint
    from mammo_core.packaging import TrainingData, load

    def rules(name, threshold):
        point = NamedPoint(name=name, threshold=threshold, sensitivity=0.7, specificity=0.8)
        return LevelRules(operating_points=(point,))

    folder = build_two_views(
        tmp_path_factory.mktemp("two-views") / "package",
        rules=DecisionRules(image=rules("image", 0.9), breast=rules("breast", 0.4)),
        training_data=TrainingData(views=("CC", "MLO")),
    )
    return load(folder)


@pytest.fixture(scope="session")
def two_tables(tmp_path_factory):
    """A phantom with views that have a file in each table: with a mass and a calcification."""
    from mammo_core.phantom import PhantomConfig, create
    from tests.support.ingest import read_tables

    root = tmp_path_factory.mktemp("two-tables") / "tree"
    create(root, PhantomConfig(patients=12, seed=1, height=192, width=144), workers=1)
    tables = read_tables(root)
    assert (tables.images["view_id"].value_counts() == 2).sum() >= 2
    return tables
