"""Our images, built once by a real Docker engine.

They take minutes, so they are built only where MAMMO_TEST_DOCKER=1 (`make test-docker`). The
engine is the one of DOCKER_HOST, or ../shared/tools/dockerd if it exists.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent.parent
_TOOL = REPOSITORY.parent / "shared" / "tools" / "dockerd"


def _docker(*words: object, check: bool = True) -> str:
    done = subprocess.run(["docker", *map(str, words)], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def docker():
    """`docker(*words)`: the engine's command line."""
    if os.environ.get("MAMMO_TEST_DOCKER") != "1":
        pytest.skip("images are built only with MAMMO_TEST_DOCKER=1 (`make test-docker`)")
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        if not os.access(_TOOL, os.X_OK):
            pytest.skip("no Docker engine answers")
        for verb in ("start", "base"):
            done = subprocess.run([_TOOL, verb], capture_output=True, text=True, check=True)
            for line in done.stdout.splitlines():
                if line.startswith("DOCKER_HOST="):
                    os.environ["DOCKER_HOST"] = line.partition("=")[2]
    os.environ.setdefault("DOCKER_BUILDKIT", "0")
    return _docker


@pytest.fixture(scope="session")
def tag() -> str:
    return "7e57000"  # like a git sha: other tags can move


@pytest.fixture(scope="session")
def images(docker, tag) -> dict[str, dict]:
    """Name → what the engine says of the images data and train."""
    line = [REPOSITORY / "scripts" / "build-images", tag, "data", "train"]
    environment = {**os.environ, "BUILD_ARGS": "--network=host --quiet"}
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-4000:]
    names = {name: f"mammo-pipelines/{name}:{tag}" for name in ("data", "train")}
    return {
        name: json.loads(docker("image", "inspect", reference))[0]
        for name, reference in names.items()
    }
