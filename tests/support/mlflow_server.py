"""A server of MLflow in its own environment, `.venv-mlflow` (`make setup-mlflow`)."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.support.processes import free_port, start_child, wait_until

_PYTHON = Path(__file__).parents[2] / ".venv-mlflow" / "bin" / "python"


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """Run a server that keeps everything in a folder; its address."""
    if not _PYTHON.exists():
        pytest.skip("no MLflow: run `make setup-mlflow`")
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [
        *(str(_PYTHON), "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--workers", "1"),
        *("--default-artifact-root", str(folder / "artifacts")),
    ]
    with (folder / "log").open("wb") as log:
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        options = {"stdout": log, "stderr": subprocess.STDOUT, "env": environment, "cwd": folder}
        with start_child(command, start_new_session=True, **options) as process:
            try:
                wait_until(lambda: _is_up(address), 500)
                yield address
            finally:
                os.killpg(process.pid, signal.SIGKILL)  # the workers, too


def _is_up(address: str) -> bool:
    try:
        return requests.get(f"{address}/health", timeout=2).ok
    except requests.RequestException:
        return False
