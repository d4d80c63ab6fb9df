"""The process that forks: `python -m tests.support.fork_server SOCKET SESSION PYTHON…`.

It ends with the process SESSION. PYTHON is the command that asks for a fork: what a fork starts in
its turn is another.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import resource
import runpy
import select
import shutil
import socket
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

from mammo_core.experiments import run as trials
from mammo_core.packaging.keras_file import import_keras
from mammo_core.processes import call, launch
from tests.support.forked import processes_in_forks
from tests.support.processes import end_with_parent

#: What commands and steps import; each is no more than a saving of time.
PRELOADED = (
    *("tensorflow", "apache_beam", "boto3", "cv2", "feast", "jinja2", "kfp.dsl.executor"),
    *("kfp.local", "kfp.components", "matplotlib.pyplot", "mammo_core.cli", "mammo_core.steps"),
    *("minio", "model_signing", "onnx", "pandas", "pipelines.cli", "pyarrow.parquet", "pydicom"),
    *("scipy.stats", "skimage.measure", "sklearn.metrics", "tensorboard", "tf2onnx"),
)


def main(address: str, session: str, python: list[str]) -> None:
    """Serve until the process of the session ends."""
    ended = os.pidfd_open(int(session))
    import_keras()
    for name in PRELOADED:
        importlib.import_module(name)
    _fork_steps(" ".join(python))
    with contextlib.ExitStack() as stack:
        for module in (call, trials):  # exports and self checks of packages; trials of experiments
            stack.enter_context(processes_in_forks(lambda: python, module))
        gc.freeze()  # what is preloaded is never garbage
        _serve(address, ended)


def _serve(address: str, ended: int) -> None:
    """Fork for each connection until the process of a descriptor has ended."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address + ".new")
    listener.listen(64)
    os.rename(address + ".new", address)  # noqa: PTH104
    waiter = select.poll()
    waiter.register(ended, select.POLLIN)
    waiter.register(listener, select.POLLIN)
    while ended not in {number for number, _ in waiter.poll()}:
        connection, _ = listener.accept()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass  # forks that have ended
        if os.fork() == 0:
            listener.close()
            os.close(ended)
            _run(connection)
        connection.close()
    shutil.rmtree(Path(address).parent)
    os._exit(0)  # without a destruction of everything that was preloaded


def _fork_steps(command: str) -> None:
    """Let KFP's local runner, which puts the name of Python into a line of the shell, fork too."""
    from kfp.local import subprocess_task_handler

    @contextlib.contextmanager
    def environment(**_: object) -> Iterator[str]:
        yield command

    subprocess_task_handler.environment = environment


def _run(connection: socket.socket) -> None:
    """Be the process that was asked for, and end with it, or with the one that asked."""
    end_with_parent()
    _, descriptors, _, _ = socket.recv_fds(connection, 1, 2)
    with connection.makefile() as lines:
        request = json.loads(lines.readline())
    launch.end_with_parent(connection.fileno())
    for kind, limits in request["limits"].items():
        resource.setrlimit(int(kind), limits)
    for number, descriptor in enumerate(descriptors, 1):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    status = 1
    try:
        words = request["words"]
        sys.argv = words if words[0][:1] != "-" else [words[0], *words[2:]]
        if words[0] == "-m":
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        elif words[0] == "-c":
            exec(words[1], {"__name__": "__main__"})
        else:
            runpy.run_path(words[0], run_name="__main__")
        status = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    # Said last, so that whoever waits finds all output.
    connection.sendall(b"%d\n" % status)
    os._exit(status)  # without a destruction of everything that was preloaded


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
