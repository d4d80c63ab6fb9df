"""Runs a compiled pipeline on this machine with the local runner of KFP."""

import contextlib
import io
import logging
import os
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import yaml

from mammo_core.packaging.signatures.keys import KEY, KEY_FILE, read_key_file
from mammo_core.packaging.signatures.trust import TRUST
from mammo_core.store.certificates import CA_BUNDLE


def run_compiled(
    package: Path, arguments: dict[str, Any], folder: Path, *, in_images: bool = False
) -> bool:
    """Run a compiled pipeline on this machine.

    Args:
        package: The compiled YAML.
        arguments: Parameters of the pipeline.
        folder: Where KFP's local artifacts go.
        in_images: Run each step in a container with a Docker engine, instead of in a process of
            this environment.

    Returns:
        Whether every task succeeded. All output of the steps is in `steps.log` beside the
        folder; the lines of the steps themselves are also printed.
    """
    from kfp import components, local

    # Expected warnings: resources have no effect here, and our image is not named `python`.
    warnings.filterwarnings("ignore", module=r"kfp\.local")
    folder.mkdir(parents=True, exist_ok=True)
    runner = _docker_runner(folder) if in_images else local.SubprocessRunner(use_venv=False)
    local.init(
        runner=runner,
        pipeline_root=str(folder.absolute()),
        raise_on_error=True,
        enable_caching=False,
    )
    pipeline = components.load_component_from_text(_for_this_machine(package.read_text()))
    logging.disable(logging.ERROR)
    try:
        with (folder.parent / "steps.log").open("w") as log:
            lines = _Lines(log)
            with contextlib.redirect_stdout(lines):
                pipeline(**arguments)
        if lines.error is not None:
            raise lines.error
    except RuntimeError as error:
        # KFP reports only which task failed; the step's message is in the run's record.
        if "finished with status" not in str(error):
            raise
        return False
    finally:
        logging.disable(logging.NOTSET)
    return True


def _docker_runner(folder: Path) -> Any:
    """Return the Docker runner of KFP: an unprivileged user, and only the store's settings."""
    from kfp import local

    user = {}
    if os.getuid() == 0:
        folder.chmod(0o1777)  # the images' user writes here
    else:
        user = {"user": f"{os.getuid()}:{os.getgid()}"}
    passed_on = ("MAMMO_S3_", "MAMMO_SITE_KEY", "MAMMO_SIGNING_KEY", "MAMMO_DEBUG")
    environment = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(passed_on) and not name.endswith("_FILE")
    }
    if os.environ.get(KEY_FILE) and KEY not in environment:
        environment[KEY] = read_key_file(os.environ[KEY_FILE], f"signing key ({KEY_FILE})").decode()
    mounts = []
    for name in (TRUST, CA_BUNDLE):
        if os.environ.get(name):
            environment[name] = f"/etc/mammo/{name.lower()}"
            source = str(Path(os.environ[name]).absolute())
            mounts.append(
                {"Type": "bind", "Source": source, "Target": environment[name], "ReadOnly": True}
            )
    return local.DockerRunner(
        network_mode="host", environment=environment, mounts=mounts or None, **user
    )


def _for_this_machine(compiled: str) -> str:
    """Remove from a compiled pipeline what only a cluster understands.

    Retries are meant for pods that disappear; here they would only run a step with invalid input
    three times. KFP's local runner takes a loop with a condition for no loop, and skips an empty
    one by itself.
    """

    def stripped(value: Any) -> Any:
        if isinstance(value, dict):
            left = {"retryPolicy", *(["triggerPolicy"] if "parameterIterator" in value else [])}
            return {key: stripped(item) for key, item in value.items() if key not in left}
        return [stripped(item) for item in value] if isinstance(value, list) else value

    return yaml.safe_dump_all([stripped(part) for part in yaml.safe_load_all(compiled)])


class _Lines(io.TextIOBase):
    """Prints the lines of the steps, and writes everything to a log.

    Most output of KFP's executor and of TensorFlow only matters when something is wrong.
    """

    _STEP_LINE = re.compile(r"^\s*(\[[a-z][a-z -]*\] .*)$")

    def __init__(self, log: io.TextIOBase) -> None:
        self._log = log
        self._terminal = sys.stdout
        self._verbose = os.environ.get("MAMMO_DEBUG") == "1"
        self._line = ""
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        try:
            self._log.write(text)
        except OSError as error:  # raised at the end: KFP prints from many places
            self.error = error
        self._line += text
        *lines, self._line = self._line.split("\n")
        for line in lines:
            match = self._STEP_LINE.match(line)
            # An error is printed once, at the end.
            if self._verbose or (match and "] error: " not in match[1]):
                print(match[1] if match else line, file=self._terminal, flush=True)
        return len(text)

    def flush(self) -> None:
        try:
            self._log.flush()
        except OSError as error:
            self.error = error
