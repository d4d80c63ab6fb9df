"""The manifests as kustomize puts them together."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parent.parent.parent
MANIFESTS = REPOSITORY / "manifests"


def _command() -> list[str]:
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize"]
    built = REPOSITORY / ".tools" / "bin" / "kustomize"
    if built.is_file():
        return [str(built), "build"]
    pytest.skip("neither kubectl nor .tools/bin/kustomize (`make kustomize`) is here")


@pytest.fixture(scope="session")
def manifests(tmp_path_factory) -> Path:
    """A copy of manifests/ in which the Secrets' files were created."""
    copy = tmp_path_factory.mktemp("manifests") / "manifests"
    shutil.copytree(MANIFESTS, copy)
    script = REPOSITORY / "scripts" / "make-secrets"
    subprocess.run([script, copy / "secrets"], check=True, capture_output=True)
    return copy


@pytest.fixture(scope="session")
def built(manifests):
    """`built(folder)`: the objects of a folder of manifests/."""
    known: dict[str, list[dict]] = {}

    def build(folder: str) -> list[dict]:
        if folder not in known:
            line = [*_command(), str(manifests / folder)]
            done = subprocess.run(line, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            known[folder] = [part for part in yaml.safe_load_all(done.stdout) if part]
        return known[folder]

    return build
