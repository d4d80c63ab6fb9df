import hashlib
import json
import shutil

import pytest
import typer
from typer.testing import CliRunner

from mammo_core.cli import models as models_cli
from mammo_core.cli.score import score as score_command
from mammo_core.errors import ModelError, RecipeError, SourceError
from mammo_core.registry import push
from mammo_core.sources.identity.patients import content_key, site_key
from mammo_core.store import open_store

# The commands as the root application registers them.
app = typer.Typer()
app.command("score")(score_command)
app.add_typer(models_cli.app, name="models")


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def store(tmp_path, package_folder):
    target = open_store(f"file://{tmp_path}/store")
    push(target, package_folder, "whole-image")
    return target


def test_the_champion_scores(store, package, tmp_path, write):
    write.dicom(tmp_path / "in/x.dcm", write.breast())
    (tmp_path / "in/y.txt").write_text("y")
    out = tmp_path / "scores.csv"
    result = run(
        "score", "--model", f"{store.uri}/models/whole-image", tmp_path / "in", "--out", out
    )
    assert result.exit_code == 0, result.output
    assert "1 scored, 1 rejected of 2 files" in result.output
    assert "images/s" in result.output and str(out) in result.output
    assert package.model_id in out.read_text()


def test_without_any_score_the_exit_code_is_1_and_rejects_are_written(package_folder, tmp_path):
    (tmp_path / "y.txt").write_text("y")
    out = tmp_path / "scores.csv"
    result = run("score", "--model", package_folder, tmp_path / "y.txt", "--out", out)
    assert result.exit_code == 1
    assert "No file could be scored" in result.output
    assert out.exists() and "y.txt" in (tmp_path / "scores.rejects.csv").read_text()


def test_wrong_arguments_are_reported(package_folder, tmp_path, write):
    missing = run("score", "--model", "no-such-model", tmp_path / "nowhere")
    assert isinstance(missing.exception, RecipeError) and missing.exception.exit_code == 2
    path = write.dicom(tmp_path / "x.dcm", write.breast())
    unknown = run("score", "--model", tmp_path / "no-such-model", path)
    assert isinstance(unknown.exception, ModelError)
    assert run("score", path).exit_code == 2  # no --model


def test_models_are_listed_shown_and_verified(store, package, package_folder, tmp_path):
    listed = run("models", "list", "--store", store.uri)
    assert listed.exit_code == 0
    assert listed.output.startswith("* whole-image   1") and package.model_id[:12] in listed.output
    [row] = json.loads(run("models", "list", "--store", store.uri, "--json").output)
    assert row["champion"] is True and row["model_id"] == package.model_id

    shown = run("models", "show", row["uri"])
    assert "Research use only. Not a medical device." in shown.output
    assert json.loads(run("models", "show", row["uri"], "--json").output)["name"] == "scoring-test"

    verified = run("models", "verify", row["uri"])
    assert verified.exit_code == 0 and "2 samples reproduced" in verified.output

    broken = tmp_path / "broken"
    shutil.copytree(package_folder, broken)
    (broken / "card.json").write_text("{}")
    for command in ("show", "verify"):
        result = run("models", command, broken)
        assert isinstance(result.exception, ModelError)


def test_an_empty_registry_is_reported(tmp_path):
    assert "No model is published" in run("models", "list", "--store", tmp_path).output


def test_ids_under_the_site_key_do_not_lead_to_the_file(
    package_folder, tmp_path, write, monkeypatch
):
    path = write.dicom(tmp_path / "x.dcm", write.breast())
    digest, out = hashlib.sha256(path.read_bytes()).hexdigest(), tmp_path / "scores.csv"
    arguments = ("score", "--model", package_folder, path, "--out", out)
    assert run(*arguments).exit_code == 0 and digest in out.read_text()
    monkeypatch.setenv("MAMMO_SITE_KEY", "k" * 64)
    assert run(*arguments, "--keyed-ids").exit_code == 0
    assert digest not in out.read_text()
    assert content_key(site_key(), digest) in out.read_text()
    monkeypatch.delenv("MAMMO_SITE_KEY")
    monkeypatch.setenv("MAMMO_SITE_KEY_FILE", str(tmp_path / "none"))
    assert isinstance(run(*arguments, "--keyed-ids").exception, SourceError)
