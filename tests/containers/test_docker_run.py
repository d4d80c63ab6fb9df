"""The pipeline in the real images, against a real S3 server, and a step that is killed."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from uuid import uuid4

import pytest

from mammo_core.store import open_store

pytestmark = [
    pytest.mark.docker,
    pytest.mark.s3,
    pytest.mark.slow,
    pytest.mark.timeout(3000),
]
RECIPE = Path(__file__).resolve().parent.parent / "e2e" / "recipe.yaml"
MAMMO = Path(sys.executable).parent / "mammo"


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("phantom") / "tree"
    options = ["--patients", "24", "--seed", "3", "--layout", "nbia", "--size", "192x150"]
    subprocess.run([MAMMO, "phantom", "create", root, *options], check=True, capture_output=True)
    return root


@pytest.fixture
def run(images, tag, s3_environment, tree, tmp_path):
    """`run(store)`: the pipeline by DockerRunner; returns the process's end and its summary."""
    source = f"s3://mammo-sources/{uuid4().hex}"
    subprocess.run([MAMMO, "store", "put", tree, source], check=True, capture_output=True)

    def start(store, run_id):
        line = [MAMMO, "pipeline", "run", "--local", "--docker", "--image-tag", tag]
        line += ["--recipe", RECIPE, "--source", source, "--store", store]
        line += ["--runs", tmp_path / "runs", "--run-id", run_id]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        summary = tmp_path / "runs" / run_id / "summary.json"
        return done, json.loads(summary.read_text()) if summary.is_file() else {}

    return start


def test_the_phantom_in_the_images_pushes_a_champion(run):
    store = f"s3://mammo-tests/{uuid4().hex}"
    done, summary = run(store, "whole")
    assert done.returncode == 0, done.stdout + done.stderr
    assert summary["state"] == "succeeded"
    assert summary["model_uri"] == f"{store}/models/tiny/1"
    assert json.loads(open_store(store).read("models/tiny/champion"))["version"] == 1


def test_a_killed_container_is_no_success_and_is_made_good(run, docker, tag):
    store = f"s3://mammo-tests/{uuid4().hex}"
    object_store, killed = open_store(store), []

    def kill():
        # The step says `running` before its work: then it is in the middle.
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline and not killed:
            for key in list(object_store.list("runs/first/steps")):
                status = json.loads(object_store.read(key))
                if status["step"].startswith("convert") and status["state"] == "running":
                    running = docker(
                        "ps", "--quiet", "--filter", f"ancestor=mammo-pipelines/data:{tag}"
                    )
                    for container in running.split():
                        docker("kill", container, check=False)
                        killed.append(container)
                    return
            time.sleep(0.2)

    killer = threading.Thread(target=kill)
    killer.start()
    done, summary = run(store, "first")
    killer.join()
    assert killed
    assert done.returncode == 1, done.stdout
    assert summary["state"] != "succeeded" or "running" in summary["states"].values()
    assert summary["model_uri"] is None
    assert not [
        key for key in object_store.list("datasets/images") if key.endswith("/manifest.json")
    ]

    done, summary = run(store, "second")
    assert done.returncode == 0, done.stdout + done.stderr
    manifests = [
        key for key in object_store.list("datasets/images") if key.endswith("/manifest.json")
    ]
    assert len(manifests) == 1
    assert summary["model_uri"] == f"{store}/models/tiny/1"
