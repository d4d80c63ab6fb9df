"""The S3 server that the tests of a session share."""

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.processes import free_port, start_child
from tests.support.seaweedfs import run_seaweedfs
from tests.support.server import VARIABLES, S3Server, wait_for_answer

REPOSITORY = Path(__file__).resolve().parents[2]
_MINIO = REPOSITORY / ".tools" / "bin" / "minio"
#: Chooses the server of the tests: minio (default) or seaweedfs.
CHOICE = "MAMMO_TEST_S3"


def server_kind() -> str:
    """Return which server the tests will use."""
    if os.environ.get("MAMMO_S3_ENDPOINT"):
        return "given"
    if os.environ.get(CHOICE) == "seaweedfs":
        return "seaweedfs"
    return "minio" if os.access(_MINIO, os.X_OK) else "moto"


def describe_server() -> str:
    """Return which server the tests will use, and what it cannot show, as one line."""
    return {
        "given": f"the one at {os.environ.get('MAMMO_S3_ENDPOINT')}",
        "minio": "MinIO, .tools/bin/minio",
        "seaweedfs": "SeaweedFS, .tools/bin/weed",
        "moto": "moto, as .tools/bin/minio is absent (`make minio`): it has no atomic conditional "
        "writes, tests of a store on S3 are skipped",
    }[server_kind()]


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """Run a server on loopback, with its own credentials, or use the given one.

    Args:
        folder: For its data and log.
    """
    kind = server_kind()
    if kind == "given":
        missing = [name for name in VARIABLES if not os.environ.get(name)]
        if missing:
            pytest.fail(f"MAMMO_S3_ENDPOINT is set, {' and '.join(missing)} not", pytrace=False)
        yield S3Server(kind, *(os.environ[name] for name in VARIABLES))
        return
    port = free_port()
    server = S3Server(
        kind, f"http://127.0.0.1:{port}", f"test-{secrets.token_hex(6)}", secrets.token_hex(20)
    )
    if kind == "minio":
        with run_minio(folder, server):
            yield server
        return
    if kind == "seaweedfs":
        with run_seaweedfs(folder, server):
            yield server
        return
    moto = Path(sys.executable).parent / "moto_server"
    command = [sys.executable, str(moto), "-H", "127.0.0.1", "-p", str(port)]
    with (
        (folder / "log").open("wb") as log,
        start_child(command, stdout=log, stderr=log) as process,
    ):
        wait_for_answer(process, f"{server.endpoint}/moto-api/data.json")
        yield server


@contextmanager
def run_minio(folder: Path, server: S3Server) -> Iterator[None]:
    """Run MinIO at an endpoint of the loopback interface, on the data of a folder."""
    address = server.endpoint.removeprefix("http://")
    command = [str(_MINIO), "server", "--quiet", "--address", address]
    command += ["--console-address", f"127.0.0.1:{free_port()}", str(folder / "data")]
    environment = {
        **os.environ,
        "MINIO_ROOT_USER": server.access_key,
        "MINIO_ROOT_PASSWORD": server.secret_key,
        "MINIO_UPDATE": "off",
        "HOME": str(folder),
    }
    with (
        (folder / "log").open("ab") as log,
        start_child(command, env=environment, stdout=log, stderr=log) as process,
    ):
        wait_for_answer(process, f"{server.endpoint}/minio/health/ready")
        yield


class RestartableMinio:
    """A MinIO that can be stopped and started again, on the same endpoint and data.

    Args:
        folder: For its data and log.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        endpoint = f"http://127.0.0.1:{free_port()}"
        keys = f"test-{secrets.token_hex(6)}", secrets.token_hex(20)
        self.server = S3Server("minio", endpoint, *keys)
        self._running = ExitStack()

    def __enter__(self) -> "RestartableMinio":
        self._running.enter_context(run_minio(self._folder, self.server))
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def restart(self) -> None:
        """Kill it and start it again."""
        self._running.close()
        self.__enter__()
