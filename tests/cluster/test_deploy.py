"""docs/cluster.md followed line by line, from nothing to a run, on a real Kubernetes.

Where MAMMO_KFP_HOST names no Kubeflow Pipelines, the lines that need one are left out.
"""

import os
import re
import shlex
import subprocess

import pytest

from tests.cluster.conftest import REPOSITORY

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(3000)]
TAG = "test"
_PAGE = REPOSITORY / "docs" / "cluster.md"
_KFP = os.environ.get("MAMMO_KFP_HOST", "")
#: What stands for a reader's own values.
_OWN = {
    "--registry REGISTRY": f"--tag {TAG} --skip {{skip}}",
    "data/cbis-ddsm s3://mammo-sources/cbis-ddsm": "{folder} s3://mammo-sources/mine",
}


def _lines():
    text = _PAGE.read_text().partition("## From nothing to a run")[2]
    block = re.search(r"```\n(.*?)```", text, re.DOTALL)
    return [line.split(" # ")[0].strip() for line in block[1].splitlines()]


@pytest.fixture(scope="module")
def nothing(kubectl, tmp_path_factory):
    """A cluster without our namespace, and a copy of the tree without Secrets."""
    for name in ("mammo", "kubeflow"):
        if name == "kubeflow" and _KFP:
            continue
        kubectl("delete", "namespace", name, "--ignore-not-found", "--timeout=300s")
    if not _KFP:
        kubectl("create", "namespace", "kubeflow")
    tree = tmp_path_factory.mktemp("tree") / "tree"
    subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(tree)], check=True)
    (tree / ".venv").symlink_to(REPOSITORY / ".venv")
    return tree


def test_the_lines_are_those_that_this_test_knows():
    begins = [" ".join(line.split()[:3]) for line in _lines()]
    assert begins == [
        "make images",
        "make deploy NAMESPACE=kubeflow",
        "kubectl -n kubeflow",
        "export MAMMO_KFP_HOST=http://localhost:8888",
        "mammo doctor",
        "mammo pipeline run",
        f"scripts/upload {_lines()[-1].split()[1]} {_lines()[-1].split()[2]}",
    ]


def test_every_line_works(kubectl, nothing, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a.dcm").write_bytes(b"0" * 1000)
    skip = "doctor" if _KFP else "pipelines,schedules,doctor"
    programs = REPOSITORY / ".venv" / "bin"
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    environment["MAMMO_IMAGE_TAG"] = TAG
    for line in _lines():
        if line.startswith(("make images", "kubectl", "export")):
            continue  # the images are there, and MAMMO_KFP_HOST says where KFP is
        if line.startswith("mammo pipeline") and not _KFP:
            continue
        for theirs, value in _OWN.items():
            line = line.replace(theirs, value.format(skip=skip, folder=tmp_path / "own"))
        words = shlex.split(line)
        if words[0] == "make":  # .venv is there
            words.insert(1, "--old-file=.venv/.installed")
        done = subprocess.run(
            words, cwd=nothing, capture_output=True, text=True, check=False, env=environment
        )
        if words[:2] == ["mammo", "doctor"]:
            faults = [row for row in done.stdout.splitlines() if row.startswith("failed")]
            assert [row for row in faults if _KFP or "Kubeflow Pipelines" not in row] == []
            assert "of 32 conditional writes at once one wins" in done.stdout
        else:
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    assert "1 files sent" in done.stdout
