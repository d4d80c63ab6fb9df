"""Trials on several sources: who is trained on what, and what their scores say."""

import json

import pandas as pd
import pytest
from scipy.stats import norm

from mammo_core.errors import RecipeError, RecordError
from mammo_core.experiments.claims import measure_result
from mammo_core.experiments.report import result_files
from mammo_core.experiments.source_results import summarize_sources
from mammo_core.experiments.source_trials import source_trials
from mammo_core.recipes import load_recipe

RECIPE = load_recipe("phantom_sources")
NAMES = ("film", "bright", "dark")


def test_each_source_is_trained_on_alone_and_left_out_once():
    trials = source_trials(RECIPE, [0, 1])
    assert len(trials) == 14
    assert [trial.arm for trial in trials[:7]] == [
        "film", "bright", "dark", "bright + dark", "film + dark", "film + bright",
        "film + bright + dark",
    ]  # fmt: skip
    for trial in trials:
        recipe = load_recipe(RECIPE.to_json(), trial.overrides)
        assert recipe.training_names == trial.facts["sources"]
        assert [entry.name for entry in recipe.sources] == list(NAMES)
        assert recipe.seed == trial.facts["seed"]


def test_two_sources_are_too_few():
    with pytest.raises(RecipeError, match="3 sources or more"):
        source_trials(load_recipe("phantom"), [0])


def scores(trial, quality, *, moved=()):
    """Scores of 40 lesions of each source: better where the quality is higher."""
    rows = []
    for name in NAMES:
        for at in range(40):
            label = at % 2
            noise = norm.ppf((at // 2 * 7 % 20 + 0.5) / 20)  # the quantiles of a normal
            rows.append(
                {
                    "image_id": f"{name}-{at:02d}",
                    "patient_key": f"{name}:p{at // 2 if name != 'film' else at:02d}",
                    "label": label,
                    "probability": float(label * quality[name] + noise),
                    "source_name": name,
                    "split": "test" if name in trial.facts["sources"] else "external",
                    "trained_on": 100,
                }
            )
    table = pd.DataFrame(rows)
    return table[~table["image_id"].isin(moved)]


def qualities(trial):
    trained = trial.facts["sources"]
    return {name: 3.0 if name in trained else 1.5 if len(trained) > 1 else 0.0 for name in NAMES}


@pytest.fixture(scope="module")
def result():
    trials = source_trials(RECIPE, [0, 1])
    return summarize_sources(trials, {t.name: scores(t, qualities(t)) for t in trials}, seed=1)


def test_what_one_source_loses_and_mixing_recovers(result):
    by_name = {row["name"]: row for row in result.comparisons}
    # AUC of two normals that are 3, 1.5 and 0 apart: Phi(d / sqrt 2) = 0.983, 0.856, 0.5.
    assert by_name["own source"]["value"] == pytest.approx(0.983, abs=0.02)
    assert by_name["one other source"]["value"] == pytest.approx(0.5, abs=0.02)
    assert by_name["all other sources"]["value"] == pytest.approx(0.856, abs=0.02)
    drop, recovered = by_name["drop"], by_name["recovered by mixing"]
    assert drop["value"] == pytest.approx(
        by_name["own source"]["value"] - by_name["one other source"]["value"]
    )
    assert by_name["share recovered"]["value"] == pytest.approx(recovered["value"] / drop["value"])
    for row in result.comparisons:
        assert row["low"] <= row["value"] <= row["high"]
    assert "mixing helps" in result.conclusion
    assert result.difference.value == recovered["value"]


def test_the_matrix_has_each_training_and_each_test_source(result):
    assert len(result.summary) == 7 * 3
    assert len(result.rows) == 14 * 3
    assert {row["tested_on"] for row in result.summary} == set(NAMES)
    assert all(row["test_lesions"] == 40 for row in result.rows)


def test_the_files_and_claims_have_the_numbers(result):
    files = result_files(result, "three vendors", "mammo experiment sources")
    values = measure_result(files["result.json"])
    assert values["share recovered"] == result.comparisons[-1]["value"]
    assert values["difference.low"] == result.difference.low
    assert "film on dark" in values
    assert "| film + bright |" in files["table.md"].decode()
    assert b"film + bright" in files["report.html"]


def test_without_a_drop_no_share_is_claimed():
    trials = source_trials(RECIPE, [0])
    same = dict.fromkeys(NAMES, 1.0)
    result = summarize_sources(trials, {t.name: scores(t, same) for t in trials})
    numbers = {row["name"]: row["value"] for row in result.comparisons}
    assert numbers["drop"] == numbers["recovered by mixing"] == 0
    assert "share recovered" not in numbers
    assert "no drop is shown" in result.conclusion


def test_other_test_patients_are_an_error():
    trials = source_trials(RECIPE, [0])
    tables = {t.name: scores(t, qualities(t)) for t in trials}
    last = trials[-1]
    tables[last.name] = scores(last, qualities(last), moved=["dark-01"])
    with pytest.raises(RecordError, match="other test patients of dark"):
        summarize_sources(trials, tables)
    del tables[last.name]
    with pytest.raises(RecordError, match="no scores of film-bright-dark-seed-0"):
        summarize_sources(trials, tables)


def test_results_of_other_experiments_have_no_further_numbers():
    from mammo_core.experiments.results import ExperimentResult

    plain = ExperimentResult("folds", [], [], None, "none")
    assert "comparisons" not in json.loads(json.dumps(plain.to_dict()))
