"""What the tests of several rooms share: an S3 server, stores, the real data."""

import ctypes
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError
from uuid import uuid4

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
_MINIO = REPOSITORY / ".tools" / "bin" / "minio"
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class S3Server:
    """A server that the S3 tests may use.

    `kind` is `given` (MAMMO_S3_ENDPOINT), `minio` or `moto` (which checks no credentials).
    """

    kind: str
    endpoint: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "MAMMO_S3_ENDPOINT": self.endpoint,
            "MAMMO_S3_ACCESS_KEY": self.access_key,
            "MAMMO_S3_SECRET_KEY": self.secret_key,
        }


def _kind() -> str:
    if os.environ.get("MAMMO_S3_ENDPOINT"):
        return "given"
    return "minio" if os.access(_MINIO, os.X_OK) else "moto"


def pytest_report_header() -> list[str]:
    """Say which S3 server the tests will use, and what it cannot show."""
    told = {
        "given": f"the one at {os.environ.get('MAMMO_S3_ENDPOINT')}",
        "minio": "MinIO, .tools/bin/minio",
        "moto": "moto, as .tools/bin/minio is absent (`make minio`): it checks no credentials, "
        "tests of credentials are skipped",
    }
    return [f"S3 server: {told[_kind()]}", f"real data: {_real_data() or 'absent'}"]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """With `-n`, the tests of a folder go to one process: what they share is made once.

    Those of models and training share nothing, and are many: they go file by file.
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
    told = os.environ.get("MAMMO_REAL_DATA")
    folder = Path(told) if told else REPOSITORY.parent / "shared" / "data"
    return folder if folder.is_dir() else None


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def child(command: list[str], **options: object) -> Iterator[subprocess.Popen]:
    """Run a process that ends with the block, and with pytest however that ends."""
    process = subprocess.Popen(command, preexec_fn=_die_with_parent, **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def start_child() -> Callable[..., object]:
    """The context manager `child`."""
    return child


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_it_answers(process: subprocess.Popen, url: str, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            direct.open(url, timeout=2)
            return
        except HTTPError:
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the S3 server at {url} does not answer", pytrace=False)
            time.sleep(0.1)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server for the whole session, on loopback, with credentials of its own."""
    kind = _kind()
    if kind == "given":
        names = ("MAMMO_S3_ENDPOINT", "MAMMO_S3_ACCESS_KEY", "MAMMO_S3_SECRET_KEY")
        lacking = [name for name in names if not os.environ.get(name)]
        if lacking:
            pytest.fail(f"MAMMO_S3_ENDPOINT is set, {' and '.join(lacking)} not", pytrace=False)
        yield S3Server(kind, *(os.environ[name] for name in names))
        return
    folder = tmp_path_factory.mktemp("s3-server")
    port = free_port()
    server = S3Server(
        kind, f"http://127.0.0.1:{port}", f"test-{secrets.token_hex(6)}", secrets.token_hex(20)
    )
    environment = dict(os.environ)
    if kind == "minio":
        command = [str(_MINIO), "server", "--quiet", "--address", f"127.0.0.1:{port}"]
        command += ["--console-address", f"127.0.0.1:{free_port()}", str(folder / "data")]
        environment.update(
            MINIO_ROOT_USER=server.access_key,
            MINIO_ROOT_PASSWORD=server.secret_key,
            MINIO_UPDATE="off",
            HOME=str(folder),
        )
        healthy = f"{server.endpoint}/minio/health/ready"
    else:
        moto = Path(sys.executable).parent / "moto_server"
        command = [sys.executable, str(moto), "-H", "127.0.0.1", "-p", str(port)]
        healthy = f"{server.endpoint}/moto-api/data.json"
    with (
        (folder / "log").open("wb") as log,
        child(command, env=environment, stdout=log, stderr=log) as process,
    ):
        _wait_until_it_answers(process, healthy)
        yield server


@pytest.fixture
def s3_environment(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> S3Server:
    """The server, with its address and credentials in the environment."""
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


def build_two_views(folder, seed=1, **changes):
    """A package of an untrained network that sees both views of a breast."""
    from mammo_core.packaging import build
    from mammo_core.packaging.keras_file import import_keras
    from mammo_core.preprocessing import Geometry, Preprocessing

    import_keras()
    from mammo_core.models import (
        HeadConfig,
        NetworkConfig,
        TwoViewConfig,
        build_patch_network,
        to_two_views,
        to_whole_image,
    )

    patches = build_patch_network(NetworkConfig(name="compact"), (32, 32), 5, seed=seed)
    head = HeadConfig(depths=(8,), repetitions=(1,))
    whole = to_whole_image(patches, head, (64, 48), classes=2, seed=seed)
    given = {
        "name": "two-views",
        "image_model": to_two_views(whole, TwoViewConfig(towers="separate")),
        "preprocessing": Preprocessing(geometry=Geometry(height=64, width=48), mean=100.0),
        "label_map": {"neg": 0, "pos": 1},
    }
    build(folder, **{**given, **changes})
    return folder


@pytest.fixture(scope="session")
def make_two_views():
    """What tests make packages of two views by."""
    return build_two_views


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
