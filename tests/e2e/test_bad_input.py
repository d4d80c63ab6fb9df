"""Invalid input, recipes and stores: one clear error, no traceback."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ERROR_PARTS = ("Expected", "Received")


@pytest.fixture(scope="module")
def tables(phantom_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The phantom's case tables, of which tests damage copies."""
    folder = tmp_path_factory.mktemp("tables")
    for path in phantom_tree.glob("*.csv"):
        shutil.copy(path, folder)
    return folder


def _assert_refused(done, code: int, *words: str) -> None:
    assert done.code == code, done.output
    assert "Traceback" not in done.output
    errors = [line for line in done.output.splitlines() if "error: " in line]
    assert len(errors) == 1, done.output
    for word in (*ERROR_PARTS, *words):
        assert word in errors[0]


def test_missing_folder(pipeline, tmp_path):
    missing = type(pipeline)(tmp_path / "nowhere", pipeline.python)
    _assert_refused(missing.run(tmp_path), 2, "nowhere")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("image_training.batchsize=4", ["image_training.batchsize", "unknown key"]),
        ("gate.min_auc=high", ["gate.min_auc"]),
        ("no-equals-sign", ["key=value"]),
        ("split.name=random", ["split.name"]),
        ("gate.min_auc=[", ["gate.min_auc", "YAML"]),
        ("sampling.patch_size=500", ["patch_size", "144x112"]),
    ],
)
def test_invalid_recipe_key(pipeline, tmp_path, setting, words):
    _assert_refused(pipeline.run(tmp_path, "--set", setting), 2, *words)


def test_unknown_recipe(pipeline, tmp_path, mammo):
    done = subprocess.run(
        [mammo, "pipeline", "run", "--local", "--recipe", "no-such", "--store", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "no-such" in done.stderr
    assert "phantom" in done.stderr  # one of the recipes of the project


def test_recipe_that_is_not_text(pipeline, tmp_path, mammo):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_bytes(b"name: \xff\xfe")
    done = subprocess.run(
        [mammo, "pipeline", "run", "--local", "--recipe", recipe, "--store", tmp_path / "store"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "UTF-8" in done.stderr
    assert "Traceback" not in done.stderr


def test_source_is_taken_literally(pipeline, tmp_path):
    (tmp_path / "t").mkdir()
    command = type(pipeline)(tmp_path / "t #2", pipeline.python)
    _assert_refused(command.run(tmp_path), 2, "t #2")


def test_empty_table(pipeline, tables, tmp_path):
    damaged = shutil.copytree(tables, tmp_path / "tables")
    (damaged / "calc_case_description_test_set.csv").write_text("")
    done = pipeline.run(tmp_path, "--set", f"source.tables={damaged}")
    _assert_refused(done, 1, "calc_case_description_test_set.csv")


def test_table_with_a_missing_column(pipeline, tables, tmp_path):
    damaged = shutil.copytree(tables, tmp_path / "tables")
    path = damaged / "mass_case_description_train_set.csv"
    path.write_text(path.read_text().replace("pathology", "patology", 1))
    done = pipeline.run(tmp_path, "--set", f"source.tables={damaged}")
    _assert_refused(done, 1, "mass_case_description_train_set.csv", "pathology")


def test_unwritable_store(pipeline, tmp_path):
    (tmp_path / "store").write_text("a file where the store should be")
    _assert_refused(pipeline.run(tmp_path), 1, "store")


@pytest.fixture
def full_disk(tmp_path):
    """A disk of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not permitted")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_full_disk(pipeline, full_disk, tmp_path):
    done = pipeline.run(tmp_path, "--store", f"file://{full_disk}/store")
    _assert_refused(done, 1, "space")
