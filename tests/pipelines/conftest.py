"""A Kubeflow Pipelines to talk to, and no settings of the machine in the way."""

import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest


def _module(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(name, module)
    spec.loader.exec_module(module)
    return module


recorded = _module("recorded")
kfp_server = _module("kfp_server")
kubernetes_server = _module("kubernetes_server")


@pytest.fixture(scope="session", autouse=True)
def quick_compiler():
    """Let KFP's compiler find the name of a caller at once.

    It asks `inspect.stack` for it, which looks through all modules for each frame without a file:
    a minute for the pipelines, in a process of xdist where another test imported TensorFlow.
    """
    from kfp.dsl import pipeline_task

    def stack():
        frames, frame = [], sys._getframe(1)
        while frame:
            code = frame.f_code
            frames.append((frame, code.co_filename, frame.f_lineno, code.co_name, None, None))
            frame = frame.f_back
        return frames

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline_task, "inspect", SimpleNamespace(stack=stack))
        yield


@pytest.fixture(autouse=True)
def no_settings(monkeypatch, tmp_path):
    """Connection settings of this machine do not leak into the tests."""
    for name in [name for name in os.environ if name.startswith(("MAMMO_KFP_", "KF_PIPELINES"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MAMMO_KFP_CONFIG", str(tmp_path / "kfp.yaml"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))


@pytest.fixture
def server():
    running = kfp_server.KfpServer()
    yield running
    running.close()
    assert running.strangers == []


@pytest.fixture
def make_server():
    """Servers of other kinds: `make_server(multi_user=True, token="…")`."""
    running = []

    def make(**options):
        running.append(kfp_server.KfpServer(**options))
        return running[-1]

    yield make
    for server in running:
        server.close()


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A Kubernetes API that KUBECONFIG names, empty at first."""
    running = kubernetes_server.KubernetesServer()
    path = tmp_path / "kubeconfig"
    path.write_text(running.kubeconfig())
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    yield running
    running.close()


@pytest.fixture
def connect_to():
    """A client of a server."""
    from pipelines.client import KfpClient
    from pipelines.connection import settings_from

    def connect(server, **given):
        return KfpClient(settings_from({"host": server.host, **given}))

    return connect


@dataclass(frozen=True)
class Done:
    """What a command left."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def mammo_pipeline(capsys, monkeypatch):
    """Run `mammo pipeline …` as a person does, in this process: KFP is imported once."""
    from mammo_core.cli import main

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["mammo", "pipeline", *map(str, words)])
        monkeypatch.setenv("COLUMNS", "80")
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = ended.code or 0
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return run
