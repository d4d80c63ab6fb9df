"""A small phantom and one undisturbed run of the pipeline on it, shared by the tests here.

The runs that are killed, and the one that completes them, start each step as users do, as a new
process of Python; the others run in forks, which are as separate but need not import TensorFlow
again.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.forked import ForkServer

RECIPE = Path(__file__).parent / "recipe.yaml"
MAMMO = Path(sys.executable).parent / "mammo"
ORDERED = Path(__file__).parent / "ordered.py"


@dataclass
class Run:
    code: int
    output: str
    folder: Path

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads(next(self.folder.glob("*/summary.json")).read_text())


class Command:
    """`mammo pipeline run --local` over the phantom.

    Attributes:
        source: The phantom.
        python: The command for Python where a run need not start like a user's.
    """

    def __init__(self, source: Path, python: list[str]) -> None:
        self.source, self.python = source, python

    def line(self, work: Path, *more: str, runs: str = "runs") -> list[str]:
        return [
            str(MAMMO),
            *("pipeline", "run", "--local", "--recipe", str(RECIPE), "--source", str(self.source)),
            *("--store", f"file://{work}/store", "--runs", str(work / runs), *more),
        ]

    def run(
        self,
        work: Path,
        *more: str,
        runs: str = "runs",
        order: str = "",
        python: list[str] | None = None,
    ) -> Run:
        """Run the command; `order` is that of independent tasks in KFP's local runner."""
        line = self.line(work, *more, runs=runs)
        if order:
            line[:1] = [str(ORDERED), order]
        line[:0] = self.python if python is None else python
        done = subprocess.run(
            line,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "COLUMNS": "200"},
        )
        return Run(done.returncode, done.stdout + done.stderr, work / runs)


@pytest.fixture(scope="session")
def mammo(forks: ForkServer) -> Path:
    """The command, in a fork."""
    return forks.command(MAMMO)


@pytest.fixture(scope="session")
def phantom_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("phantom") / "tree"
    options = ["--patients", "24", "--seed", "3", "--layout", "nbia", "--size", "192x150"]
    subprocess.run([str(MAMMO), "phantom", "create", str(root), *options], check=True)
    return root


@pytest.fixture(scope="session")
def pipeline(phantom_tree: Path, forks: ForkServer) -> Command:
    return Command(phantom_tree, forks.python)


@pytest.fixture(scope="session")
def undisturbed(pipeline: Command, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    work = tmp_path_factory.mktemp("undisturbed")
    return work, pipeline.run(work)
