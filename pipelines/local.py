"""Running a compiled pipeline on this machine, by KFP's own local runner."""

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


def run_compiled(
    package: Path, arguments: dict[str, Any], folder: Path, *, in_images: bool = False
) -> bool:
    """Run a compiled pipeline on this machine.

    Args:
        package: The compiled YAML.
        arguments: Parameters of the pipeline.
        folder: Where KFP's local artifacts go.
        in_images: Each step in a container of its image, by a Docker engine; else in a process
            of this environment.

    Returns:
        Whether every task succeeded. What the steps printed is in `steps.log` beside the
        folder; the steps' own lines are shown as well.
    """
    from kfp import components, local

    # Resources are for the cluster, and our image's name is not `python`: both are known.
    warnings.filterwarnings("ignore", module=r"kfp\.local")
    folder.mkdir(parents=True, exist_ok=True)
    runner = _docker_runner(folder) if in_images else local.SubprocessRunner(use_venv=False)
    local.init(
        runner=runner,
        pipeline_root=str(folder.absolute()),
        raise_on_error=True,
        enable_caching=False,
    )
    pipeline = components.load_component_from_text(_without_retries(package.read_text()))
    logging.disable(logging.ERROR)
    try:
        with (folder.parent / "steps.log").open("w") as log:
            lines = _Lines(log)
            with contextlib.redirect_stdout(lines):
                pipeline(**arguments)
        if lines.fault is not None:
            raise lines.fault
    except RuntimeError as error:
        # KFP says only which task failed; the step's own words are in the run's record.
        if "finished with status" not in str(error):
            raise
        return False
    finally:
        logging.disable(logging.NOTSET)
    return True


def _docker_runner(folder: Path) -> Any:
    """KFP's runner by a Docker engine: as nobody special, with the store's settings alone."""
    from kfp import local

    who = {}
    if os.getuid() == 0:
        folder.chmod(0o1777)  # the user of the images writes here
    else:
        who = {"user": f"{os.getuid()}:{os.getgid()}"}
    told = ("MAMMO_S3_", "MAMMO_SITE_KEY", "MAMMO_SIGNING_KEY", "MAMMO_DEBUG")
    environment = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(told) and not name.endswith("_FILE")
    }
    return local.DockerRunner(network_mode="host", environment=environment, **who)


def _without_retries(compiled: str) -> str:
    """Take the retries out of a compiled pipeline: they are for pods that vanish.

    Here they would only run a step with wrong input three times; transient faults are retried
    within the steps.
    """

    def stripped(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: stripped(item) for key, item in value.items() if key != "retryPolicy"}
        return [stripped(item) for item in value] if isinstance(value, list) else value

    return yaml.safe_dump_all([stripped(part) for part in yaml.safe_load_all(compiled)])


class _Lines(io.TextIOBase):
    """Shows the steps' own lines, and writes everything to a log.

    KFP's executor and TensorFlow say a lot that only matters when something is wrong.
    """

    _OWN = re.compile(r"^\s*(\[[a-z][a-z -]*\] .*)$")

    def __init__(self, log: io.TextIOBase) -> None:
        self._log = log
        self._shown = sys.stdout
        self._all = os.environ.get("MAMMO_DEBUG") == "1"
        self._line = ""
        self.fault: OSError | None = None

    def write(self, text: str) -> int:
        try:
            self._log.write(text)
        except OSError as error:  # told at the end: KFP prints from many places
            self.fault = error
        self._line += text
        *lines, self._line = self._line.split("\n")
        for line in lines:
            own = self._OWN.match(line)
            # A fault is told once, at the end.
            if self._all or (own and "] error: " not in own[1]):
                print(own[1] if own else line, file=self._shown, flush=True)
        return len(text)

    def flush(self) -> None:
        try:
            self._log.flush()
        except OSError as error:
            self.fault = error
