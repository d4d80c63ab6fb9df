"""The images that are built are those that a compiled pipeline names."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from mammo_core.errors import RecipeError
from pipelines.cli import options
from pipelines.cli.compiling import compiled_text
from pipelines.image_tag import source_tag

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:kfp")
REPOSITORY = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def built(tmp_path):
    """The references that `make images` hands to `docker build`, in order."""
    log = tmp_path / "docker.log"
    programs = tmp_path / "bin"
    programs.mkdir()
    # The packages that `docker run … dpkg-query` lists, and the SBOM that uv's tool writes.
    package = r"tzdata\t2024a\tall\ttzdata\t2024a\n"
    docker = f"""printf '%s\\n' "$*" >>{log}\n[ "$1" != run ] || printf '{package}'"""
    sbom = """for word in "$@"; do
      case $word in build/sbom/*) echo '{"components": []}' >"$word" ;; esac
    done"""
    for name, body in (("docker", docker), ("uv", sbom)):
        path = programs / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def build(*words: str) -> list[str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MAMMO_")}
        environment["PATH"] = f"{programs}:{environment['PATH']}"
        done = subprocess.run(
            ["make", "images", *words],
            cwd=REPOSITORY,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        lines = [line.split() for line in log.read_text().splitlines()]
        return [line[line.index("--tag") + 1] for line in lines if line[0] == "build"]

    return build


def _images(text: str) -> set[str]:
    spec = next(yaml.safe_load_all(text))
    executors = spec["deploymentSpec"]["executors"].values()
    return {executor["container"]["image"] for executor in executors}


@pytest.mark.parametrize("name", ["train", "retrain", "transfer"])
def test_a_compiled_pipeline_names_the_images_that_are_built(built, name, monkeypatch):
    monkeypatch.delenv("MAMMO_GIT_SHA", raising=False)
    text = compiled_text(name, 4, options.REGISTRY, options.image_tag(None), None, None)
    assert _images(text) == set(built())


def test_the_gpu_image_has_the_same_tag(built, monkeypatch):
    monkeypatch.delenv("MAMMO_GIT_SHA", raising=False)
    assert built("IMAGES=train-gpu") == [f"mammo-pipelines/train-gpu:{options.image_tag(None)}"]


def test_the_script_for_kind_asks_for_the_same_tag(monkeypatch):
    monkeypatch.delenv("MAMMO_GIT_SHA", raising=False)
    monkeypatch.delenv("MAMMO_IMAGE_TAG", raising=False)
    line = [REPOSITORY / "scripts" / "kind", "deploy", "--dry-run"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    for image in ("data", "train"):
        assert f"mammo-pipelines/{image}:{source_tag()} " in done.stdout


def test_an_image_knows_the_tag_it_was_built_with(monkeypatch):
    monkeypatch.setenv("MAMMO_GIT_SHA", "0123456789abcdef" * 2 + "01234567")
    assert source_tag() == "0123456789ab"
    monkeypatch.setenv("MAMMO_GIT_SHA", "release-2026-11-29")
    assert source_tag() == "release-2026-11-29"


def test_the_tag_is_not_that_of_a_repository_around_the_tree(monkeypatch, tmp_path):
    monkeypatch.delenv("MAMMO_GIT_SHA", raising=False)
    monkeypatch.setenv("GIT_DIR", str(REPOSITORY / ".git"))
    assert source_tag(REPOSITORY / "docs") is None
    assert source_tag(tmp_path) is None
    assert source_tag(REPOSITORY) is not None


def test_without_a_tag_no_image_is_built(built, tmp_path):
    with pytest.raises(AssertionError, match="the tag"):
        built("TAG=")


def test_without_a_checkout_the_tag_must_be_given(monkeypatch, tmp_path):
    monkeypatch.delenv("MAMMO_GIT_SHA", raising=False)
    assert source_tag(tmp_path) is None
    monkeypatch.setattr("pipelines.image_tag.source_tag", lambda: None)
    with pytest.raises(RecipeError, match="--image-tag"):
        options.image_tag(None)
    assert options.image_tag("abc") == "abc"
