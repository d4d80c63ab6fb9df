"""The S3 server that the tests of a session share."""

import os
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError

import pytest

from tests.support.processes import free_port, start_child

REPOSITORY = Path(__file__).resolve().parents[2]
_MINIO = REPOSITORY / ".tools" / "bin" / "minio"
_VARIABLES = ("MAMMO_S3_ENDPOINT", "MAMMO_S3_ACCESS_KEY", "MAMMO_S3_SECRET_KEY")


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
        """The variables that make the library use this server."""
        values = (self.endpoint, self.access_key, self.secret_key)
        return dict(zip(_VARIABLES, values, strict=True))


def server_kind() -> str:
    """Return which server the tests will use."""
    if os.environ.get("MAMMO_S3_ENDPOINT"):
        return "given"
    return "minio" if os.access(_MINIO, os.X_OK) else "moto"


def describe_server() -> str:
    """Return which server the tests will use, and what it cannot show, as one line."""
    return {
        "given": f"the one at {os.environ.get('MAMMO_S3_ENDPOINT')}",
        "minio": "MinIO, .tools/bin/minio",
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
        missing = [name for name in _VARIABLES if not os.environ.get(name)]
        if missing:
            pytest.fail(f"MAMMO_S3_ENDPOINT is set, {' and '.join(missing)} not", pytrace=False)
        yield S3Server(kind, *(os.environ[name] for name in _VARIABLES))
        return
    port = free_port()
    server = S3Server(
        kind, f"http://127.0.0.1:{port}", f"test-{secrets.token_hex(6)}", secrets.token_hex(20)
    )
    if kind == "minio":
        with run_minio(folder, server):
            yield server
        return
    moto = Path(sys.executable).parent / "moto_server"
    command = [sys.executable, str(moto), "-H", "127.0.0.1", "-p", str(port)]
    with (
        (folder / "log").open("wb") as log,
        start_child(command, stdout=log, stderr=log) as process,
    ):
        _wait_for_answer(process, f"{server.endpoint}/moto-api/data.json")
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
        _wait_for_answer(process, f"{server.endpoint}/minio/health/ready")
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


def _wait_for_answer(process: subprocess.Popen, url: str, seconds: float = 90.0) -> None:
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
