"""`mammo experiment leaks`, whole: a phantom, its data steps, a trial, table, plot and page."""

import json
import re

import pandas as pd
import pytest
from typer.testing import CliRunner

from mammo_core.cli.experiment import app
from mammo_core.experiments.leaks import HONEST, MISTAKES
from mammo_core.phantom import PhantomConfig, create

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs the command on a phantom of 40 patients, one of whom is in both official tables."""
    folder = tmp_path_factory.mktemp("leaks")
    config = PhantomConfig(patients=40, seed=2, height=192, width=144, likeness=1)
    create(folder / "phantom", config, workers=2)

    def invoke():
        settings = ["convert.geometry={height: 192, width: 144, resize: forced}"]
        arguments = ["leaks", "--seeds", "1", "--epochs", "2", "--source", str(folder / "phantom")]
        arguments += ["--store", f"file://{folder}/store", "--out", str(folder / "out")]
        return CliRunner().invoke(app, [*arguments, *(f"--set={each}" for each in settings)])

    first = invoke()
    assert first.exit_code == 0, first.output
    (results,) = (folder / "out").iterdir()
    return first, invoke, results


def test_every_mistake_has_a_difference_from_the_honest_arm(run):
    result = json.loads((run[2] / "result.json").read_text())
    arms = {row["arm"]: row for row in result["summary"]}
    assert list(arms) == [HONEST, *MISTAKES]
    assert len({row["trained_on"] for row in arms.values()}) == 1
    assert arms[HONEST]["adds"] is None
    for name in MISTAKES:
        row = arms[name]
        assert row["adds_low"] <= row["adds"] <= row["adds_high"], name
        (single,) = (r for r in result["rows"] if r["arm"] == name)
        assert row["adds"] == pytest.approx(single["auc"] - single["honest_auc"]), name
        assert row["shows"] == ("yes" if row["adds_low"] > 0 else "no"), name


def test_the_page_shows_differences_and_aucs(run):
    page = (run[2] / "report.html").read_text()
    assert len(re.findall(r"data:image/png", page)) == 2
    assert "What each mistake adds to the AUC" in page
    for name in MISTAKES:
        assert name.replace("'", "&#39;") in page, name
    assert (run[2] / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert list(pd.read_csv(run[2] / "summary.csv")["arm"]) == [HONEST, *MISTAKES]


def test_the_same_command_trains_nothing_again(run):
    files = {path.name: path.read_bytes() for path in run[2].iterdir()}
    again = run[1]()
    assert again.exit_code == 0 and "1 already finished, 0 to run" in again.output
    assert {path.name: path.read_bytes() for path in run[2].iterdir()} == files
