"""Plans, statistics and tables of experiments; the work itself is in the end-to-end tests."""

import json

import numpy as np
import pandas as pd
import pytest

from mammo_core.errors import RecipeError, RecordError
from mammo_core.experiments import (
    Trial,
    folds,
    patch_pretraining,
    result_files,
    summarize_trials,
    transfer_curve,
)
from mammo_core.metrics import auc, auc_difference
from mammo_core.recipes import load_recipe

PATIENTS = {f"P{n:02}": ("train" if n < 30 else "test", int(n % 3 == 0)) for n in range(40)}


def scores(seed: int, signal: float, count: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 2, count)
    noise = np.random.default_rng(seed).normal(size=count)
    return pd.DataFrame(
        {
            "image_id": [f"i{n}" for n in range(count)],
            "patient_key": [f"P{n // 2}" for n in range(count)],
            "label": labels,
            "probability": 1 / (1 + np.exp(-(signal * labels + noise))),
            "trained_on": 100,
        }
    )


def test_patch_pretraining_pairs_the_arms_at_the_same_budget() -> None:
    recipe = load_recipe("phantom_patch_pretraining")
    trials = patch_pretraining(range(3), recipe.image_training)
    assert [(u.arm, u.facts["seed"], u.patch) for u in trials[:2]] == [
        ("patch-initialized", 0, True),
        ("from-scratch", 0, False),
    ]
    assert len({trial.name for trial in trials}) == 6
    for trial in trials[:2]:
        changed = load_recipe("phantom_patch_pretraining", trial.overrides)
        assert changed.seed == 0
        budget = [(s.epochs, s.learning_rate) for s in changed.image_training.stages]
        assert budget == [(s.epochs, s.learning_rate) for s in recipe.image_training.stages]
        opened = {stage.train for stage in changed.image_training.stages}
        assert opened == ({"all"} if trial.arm == "from-scratch" else {"head", "all"})
        assert Trial.from_json(trial.to_json()) == trial


def test_the_difference_averages_seeds_and_resamples_patients() -> None:
    trials = patch_pretraining(range(2), load_recipe("phantom").image_training)
    tables = {u.name: scores(u.facts["seed"] + 10 * u.patch, 2.0 * u.patch) for u in trials}
    result = summarize_trials("patch-pretraining", trials, tables)
    aucs = {row["trial"]: row["auc"] for row in result.rows}
    expected = np.mean([aucs[f"patch-initialized-{s}"] - aucs[f"from-scratch-{s}"] for s in (0, 1)])
    assert result.difference is not None
    assert result.difference.value == pytest.approx(expected)
    assert result.difference.low < expected < result.difference.high
    assert result.difference.low > 0 and "helps" in result.conclusion
    # With one seed it is the paired difference of two models.
    one = summarize_trials("patch-pretraining", trials[:2], tables)
    first, second = tables["patch-initialized-0"], tables["from-scratch-0"]
    known = auc_difference(
        first["label"], first["probability"], second["probability"], first["patient_key"]
    )
    assert one.difference == known


def test_no_difference_is_said_to_be_none() -> None:
    trials = patch_pretraining([0], load_recipe("phantom").image_training)
    tables = {trial.name: scores(3, 1.0) for trial in trials}
    result = summarize_trials("patch-pretraining", trials, tables)
    assert result.difference is not None and result.difference.value == 0
    assert "no difference is shown" in result.conclusion


def test_an_unfinished_or_mixed_experiment_is_refused() -> None:
    trials = patch_pretraining([0], load_recipe("phantom").image_training)
    with pytest.raises(RecordError, match="not complete"):
        summarize_trials("patch-pretraining", trials, {trials[0].name: scores(0, 1)})
    tables = {trials[0].name: scores(0, 1), trials[1].name: scores(0, 1, count=50)}
    with pytest.raises(RecordError, match="tested on other images"):
        summarize_trials("patch-pretraining", trials, tables)


def test_folds_are_pooled() -> None:
    trials = folds(3)
    tables = {}
    for trial in trials:
        table = scores(trial.facts["fold"], 1.5)
        tables[trial.name] = table.assign(
            image_id=table["image_id"] + trial.name, patient_key=table["patient_key"] + trial.name
        )
    result = summarize_trials("folds", trials, tables)
    pooled = pd.concat(tables.values())
    assert result.summary[-1]["auc"] == pytest.approx(auc(pooled["label"], pooled["probability"]))
    assert [row["arm"] for row in result.summary] == ["fold 0", "fold 1", "fold 2", "all folds"]
    changed = load_recipe("phantom", trials[2].overrides)
    assert (changed.split.name, changed.split.folds, changed.split.fold) == ("folds", 3, 2)


def test_transfer_subsets_are_nested_and_hold_both_classes() -> None:
    trials = transfer_curve([0, 6, 12], 2, PATIENTS, "file:///m/models/a", 5)
    assert len(trials) == 1 + 2 * 2
    assert trials[0].facts["patients"] == 0
    chosen = {}
    for trial in trials[1:]:
        recipe = load_recipe("phantom", trial.overrides)
        assert recipe.image_training.start == "file:///m/models/a"
        given = recipe.split.patients
        assert {k for k, s in given.items() if s == "test"} == {
            k for k, (s, _) in PATIENTS.items() if s == "test"
        }
        mine = {key for key, split in given.items() if split == "train"}
        assert len(mine) == trial.facts["patients"]
        assert {PATIENTS[key][1] for key in mine} == {0, 1}
        chosen[trial.facts["patients"], trial.facts["repeat"]] = mine
    assert chosen[6, 0] < chosen[12, 0]
    assert chosen[6, 0] != chosen[6, 1]
    with pytest.raises(RecipeError, match="30, the training patients"):
        transfer_curve([40], 1, PATIENTS, "m", 5)


def test_files_hold_the_table_the_plot_and_the_command() -> None:
    trials = transfer_curve([0, 6], 2, PATIENTS, "m", 5)
    result = summarize_trials("transfer-curve", trials, {u.name: scores(1, 1.0) for u in trials})
    by_name = result_files(result, "phantom: transfer-curve", "mammo experiment transfer-curve")
    assert by_name["plot.png"].startswith(b"\x89PNG")
    assert b"mammo experiment transfer-curve" in by_name["table.md"]
    assert json.loads(by_name["result.json"])["summary"][1]["patients"] == 6
    assert by_name["table.csv"].count(b"\n") == 1 + 3
    assert b"data:image/png" in by_name["report.html"]


def test_an_experiment_depends_on_what_its_recipe_refers_to(file_store, tmp_path) -> None:
    from mammo_core.experiments.run import Experiment
    from tests.support.registry_fixtures import put_version

    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "cases.csv").write_text("1")
    (tmp_path / "w.h5").write_text("1")
    uri = put_version(file_store, "m", 1, {}, "a" * 64).rpartition("/")[0]
    text = load_recipe("phantom", [f"source.root={tmp_path}/root"]).to_json()

    def ids() -> list[str]:
        weights = load_recipe(text, [f"patch_training.network.weights={tmp_path}/w.h5"])
        plain = load_recipe(text)
        trials = transfer_curve([5], 1, PATIENTS, uri, seed=1)
        return [
            Experiment(file_store, "transfer-curve", recipe, plan).id
            for recipe, plan in ((weights, []), (plain, trials), (plain, []))
        ]

    before = ids()
    assert ids() == before
    (tmp_path / "w.h5").write_text("2")
    put_version(file_store, "m", 2, {}, "b" * 64)  # the URI names another model now
    after = ids()
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, False, True]
    (tmp_path / "root" / "cases.csv").write_text("2")
    assert ids()[2] != after[2]
