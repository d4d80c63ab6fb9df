"""The commands of docs/own-data.md on a small archive, up to the tables of the run.

`make verify-own-data` runs all of them, to the pushed model (docs/verification.md).
"""

import pytest
import yaml
from typer.testing import CliRunner

from mammo_core.cli.sources import app
from mammo_core.datasets.tables import read_table
from mammo_core.recipes import load_recipe
from mammo_core.runs import Run
from mammo_core.steps import index
from mammo_core.store import open_store
from tests.own_data.follow import commands, overrides
from tests.support.hospital import HEADER, write_hospital


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("klinik")
    return folder, write_hospital(folder, patients=10, size=(144, 112))


def find(*words):
    """The first command of the page with these words."""
    return next(command for command in commands() if set(words) <= set(command))


def run(command, folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    monkeypatch.delenv("MAMMO_SITE_KEY", raising=False)
    return CliRunner().invoke(app, command[2:])


def test_from_the_archive_to_the_tables(archive, monkeypatch):
    folder, missing = archive
    suggested = run(find("suggest"), folder, monkeypatch)
    assert suggested.exit_code == 0, suggested.output
    rows = (folder / "befunde.csv").read_text(encoding="cp1252").splitlines()[1:]
    share = f"{missing} of {len(rows)} rows ({missing / len(rows):.0%})"
    assert f"{share} name a file that does not exist" in suggested.output
    mapping = yaml.safe_load((folder / "befunde.yaml").read_text(encoding="utf-8"))
    assert set(HEADER.split(";")) == {*mapping["columns"], *mapping["ignore"], "Bildnummer"}
    assert "4711" not in (folder / "befunde.yaml").read_text(encoding="utf-8")
    assert "Frau" not in suggested.output
    checked = run(find("check"), folder, monkeypatch)
    assert checked.exit_code == 0 and "no problems" in checked.output, checked.output
    assert run(find("site-key"), folder, monkeypatch).exit_code == 0

    command = find("own_data_trial", "--local")
    recipe = load_recipe("own_data_trial", overrides(command))
    trial = Run(open_store(str(folder / "store")), "r")
    trial.write_recipe(recipe)
    tables, _ = index.execute(trial, use="training")
    images = read_table(trial.store, tables, "images.parquet")
    cells = [row.split(";") for row in rows]
    kept = [row for row in cells if (folder / f"bilder/{row[0]}/{row[8]}.dcm").exists()]
    assert len(images) == len(kept) == len(rows) - missing
    assert images["patient_key"].nunique() == len({row[0] for row in kept})
    assert images["exam_key"].nunique() == len({(row[0], row[1]) for row in kept})
    assert images["malignant"].sum() == sum(row[4] == "bösartig" for row in kept)
    regions = sum(len(row[6].split(", ")) for row in kept if row[6])
    assert tables.counts["lesions"] == regions
    assert tables.counts["rejects"] == 0 and tables.counts["left_out"] == missing
    rejects = read_table(trial.store, tables, "rejects.parquet")
    assert set(rejects["cause"]) == {"missing_file"}


def test_both_runs_of_the_page_are_valid_recipes():
    for name in ("own_data_trial", "own_data"):
        recipe = load_recipe(name, overrides(find(name, "--local")))
        assert recipe.source.adapter == "table" and recipe.source.tables == "befunde.csv"
