"""Change-control plans: their schema, and changes that they allow and forbid."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mammo_core.documents import parse_yaml
from mammo_core.errors import RecipeError, RecordError
from mammo_core.metrics.settings import MetricSettings
from mammo_core.packaging.contents import TrainingData
from mammo_core.packaging.patient_list import patient_list
from mammo_core.packaging.settings import model_settings
from mammo_core.recipes import load_recipe
from mammo_core.registry.change_plan.data import ModelData
from mammo_core.registry.change_plan.performance import Compared
from mammo_core.registry.change_plan.plan import ChangePlan
from mammo_core.registry.change_plan.review import DescribedModel, review
from mammo_core.sources.card.terms import Terms

REPOSITORY = Path(__file__).parents[2]
PLAN = {
    "name": "screening 2026",
    "model": "m",
    "data": {
        "new_patients": True,
        "removed_share": 0.1,
        "changed_labels_share": 0.05,
        "malignant_share": 0.1,
        "manufacturers": ["hologic"],
        "test_patients": "may grow",
        "least_patients": {"train": 5},
    },
    "settings": {
        "may_change": ["patch_training.stages.*.epochs", "seed", "software"],
        "limits": {
            "image_training.batch_size": {"least": 4, "most": 32},
            "patch_training.network.name": {"values": ["compact", "resnet50"]},
        },
    },
    "metrics": [{"metric": "auc", "floor": 0.6, "margin": 0.05}],
    "subgroups": [{"by": "manufacturer", "margin": 0.1, "least_patients": 5}],
    "judged_by": "point",
}
SETTINGS = {
    "seed": 1,
    "patch_training.network.name": "compact",
    "patch_training.stages.0.epochs": 3,
    "patch_training.stages.0.learning_rate": 0.001,
    "image_training.batch_size": 8,
    "gate.min_auc": 0.6,
    "software.keras": "3.15",
}


def frame(changed_labels=(), splits=("train",) * 12 + ("validation",) * 4 + ("test",) * 8, drop=()):
    """Images of one patient each: I0 of P0, …; every second one is malignant."""
    rows = [
        (f"I{n}", f"P{n}", "cbis_ddsm", "scanner", n % 2, split)
        for n, split in enumerate(splits)
        if n not in drop
    ]
    columns = ["image_id", "patient_key", "source", "manufacturer", "label", "split"]
    table = pd.DataFrame(rows, columns=columns)
    flipped = table["image_id"].isin([f"I{n}" for n in changed_labels])
    table.loc[flipped, "label"] = 1 - table.loc[flipped, "label"]
    return table


def training(**changes):
    values = {
        "images": {"train": 12},
        "patients": {"train": 12, "validation": 4, "test": 8},
        "malignant": {"train": 6},
        "manufacturers": ("scanner",),
    }
    return TrainingData(**{**values, **changes})


def described(settings=(), images=None, plan=None, **facts):
    data = ModelData(training(**facts), images=frame() if images is None else images)
    return DescribedModel({**SETTINGS, **dict(settings)}, data, plan)


def compared(worse=0.0, worse_group=""):
    """40 patients, of two manufacturers; `worse` is the share that is turned around."""
    count = 40
    labels = np.arange(count) % 2
    groups = np.where(np.arange(count) < 20, "one", "two")
    random = np.random.default_rng(0)
    good = 0.3 * labels + random.uniform(0, 0.5, count)
    bad = good.copy()
    chosen = (groups == worse_group) | (random.uniform(size=count) < worse)
    bad[chosen] = 0.8 - good[chosen]
    table = pd.DataFrame(
        {
            "image_id": [f"T{n:02d}" for n in range(count)],
            "patient_key": [f"Q{n:02d}" for n in range(count)],
            "label": labels,
            "manufacturer": groups,
        }
    )
    return Compared(
        challenger=table.assign(probability=bad),
        champion=table.assign(probability=good),
        settings=MetricSettings(),
        replicates=200,
        seed=1,
    )


PLANNED = ChangePlan.model_validate(PLAN)
MORE = frame(splits=("train",) * 12 + ("validation",) * 4 + ("test",) * 8 + ("train",) * 3)
NEW_TEST = frame(splits=("train",) * 12 + ("validation",) * 4 + ("test",) * 9)
FEWER = frame(drop=(0,))
FEW = frame(drop=(0, 1, 2, 3))
WITHOUT_TEST = frame(drop=(20,))
TERMS = (Terms(name="own", license="own agreement"),)

ALLOWED = {
    "nothing": {},
    "patients are added": {"images": MORE},
    "test patients are added": {"images": NEW_TEST},
    "one of 16 patients is missing": {"images": FEWER},
    "as many malignant images as the plan says": {"malignant": {"train": 7}},
    "a manufacturer that the plan names": {"manufacturers": ("hologic", "scanner")},
    "a setting that may change": {"settings": {"patch_training.stages.0.epochs": 9}},
    "a number within its limits": {"settings": {"image_training.batch_size": 32}},
    "a value of those in the plan": {"settings": {"patch_training.network.name": "resnet50"}},
    "another version of a library": {"settings": {"software.keras": "3.16", "seed": 2}},
}
FORBIDDEN = {
    "data: patients missing": {"images": FEW},
    "data: test patients": {"images": WITHOUT_TEST},
    "data: labels of images": {"images": frame(changed_labels=(0, 3))},
    "data: share of malignant": {"malignant": {"train": 9}},
    "data: manufacturers": {"manufacturers": ("other", "scanner")},
    "data: terms of data": {"terms": TERMS},
    "data: patients in train": {"patients": {"train": 4, "validation": 4, "test": 8}},
    "settings: patch_training.stages.0.learning_rate": {
        "settings": {"patch_training.stages.0.learning_rate": 0.01}
    },
    "settings: image_training.batch_size": {"settings": {"image_training.batch_size": 64}},
    "settings: gate.min_auc": {"settings": {"gate.min_auc": 0.5}},
}


@pytest.mark.parametrize("name", ALLOWED)
def test_a_change_that_the_plan_allows(name):
    changes = review(PLANNED, described(plan=PLANNED), described(**ALLOWED[name]), compared())
    assert [change.text for change in changes if not change.allowed] == []
    # Metrics and subgroups are judged every time; the rest is what changed.
    judged = [change for change in changes if change.part in ("metrics", "subgroups")]
    assert len(judged) == 4
    assert (len(changes) > len(judged)) == bool(ALLOWED[name])


@pytest.mark.parametrize("name", FORBIDDEN)
def test_a_change_that_the_plan_forbids_is_named(name):
    changes = review(PLANNED, described(plan=PLANNED), described(**FORBIDDEN[name]), compared())
    (forbidden,) = [change for change in changes if not change.allowed]
    assert f"{forbidden.part}: {forbidden.name}".startswith(name)


def test_worse_metrics_and_subgroups_are_forbidden():
    def forbidden(**changes):
        result = review(PLANNED, described(plan=PLANNED), described(), compared(**changes))
        return [f"{each.part} {each.name}" for each in result if not each.allowed]

    assert forbidden() == []
    # Every probability of one manufacturer is turned around: the others hide it in the whole.
    assert "subgroups manufacturer one" in forbidden(worse_group="one")
    assert "subgroups manufacturer two" not in forbidden(worse_group="one")
    assert "metrics auc per image" in forbidden(worse=0.6)


def test_a_margin_by_interval_is_stricter_than_by_the_difference():
    """Three of 40 patients are scored worse: the difference is small, its interval is not."""
    rule = {"metric": "auc", "margin": 0.15}

    def judge(judged_by):
        values = {**PLAN, "metrics": [rule], "subgroups": [], "judged_by": judged_by}
        plan = ChangePlan.model_validate(values)
        (change,) = review(plan, described(plan=plan), described(), compared(worse=0.12))
        return change

    by_interval, by_point = judge("interval"), judge("point")
    assert (by_point.before, by_point.after) == (by_interval.before, by_interval.after)
    assert by_point.allowed and not by_interval.allowed


def test_a_group_with_few_patients_passes_or_stops():
    rule = {"by": "manufacturer", "margin": 0.1, "least_patients": 11}
    for too_few in ("pass", "stop"):
        plan = ChangePlan.model_validate({**PLAN, "subgroups": [{**rule, "too_few": too_few}]})
        changes = review(plan, described(plan=plan), described(), compared())
        judged = [change for change in changes if change.part == "subgroups"]
        assert len(judged) == 2
        assert all(change.allowed == (too_few == "pass") for change in judged)


def test_another_plan_must_name_the_one_it_replaces():
    other = {**PLAN, "name": "another"}
    for replaces, allowed in (("", False), (PLANNED.digest, True)):
        plan = ChangePlan.model_validate({**other, "replaces": replaces})
        (change,) = [
            each
            for each in review(plan, described(plan=PLANNED), described(), compared())
            if each.part == "plan"
        ]
        assert change.allowed is allowed


def test_a_recipe_without_a_plan_cannot_follow_a_champion_with_one():
    (change,) = review(None, described(plan=PLANNED), described(), compared())
    assert not change.allowed and "screening 2026" in change.text
    assert review(None, described(), described(), compared()) == ()


def test_a_champion_that_says_nothing_of_itself_stops_unless_it_is_accepted():
    silent = DescribedModel(None, ModelData(TrainingData()))
    changes = review(PLANNED, silent, described(), compared())
    assert {change.part for change in changes if not change.allowed} >= {"settings", "data"}
    plan = ChangePlan.model_validate(
        {**PLAN, "undocumented": "accept", "data": {"manufacturers": None, "new_terms": True}}
    )
    changes = review(plan, silent, described(), compared())
    assert [change.text for change in changes if not change.allowed] == []


def test_patients_of_a_champion_whose_frame_is_gone_are_known_by_its_list():
    listed = patient_list("f" * 32, frame())
    champion = DescribedModel(SETTINGS, ModelData(training(), images=None, listed=listed), PLANNED)
    changes = review(PLANNED, champion, described(images=FEW), compared())
    (missing,) = [change for change in changes if not change.allowed]
    assert (missing.before, missing.after) == ("16", "12")
    assert "0.2500" in missing.rule


def test_the_first_model_is_judged_by_floors_alone():
    table = compared().challenger.assign(probability=0.5)
    first = Compared(table, None, MetricSettings(), 200, 1)
    changes = review(PLANNED, None, described(), first)
    assert [(change.name, change.allowed) for change in changes] == [("auc per image", False)]


def test_a_metric_that_cannot_be_judged_is_an_error():
    plan = ChangePlan.model_validate({**PLAN, "metrics": [{"metric": "auc_delong", "floor": 0.1}]})
    with pytest.raises(RecordError, match=r"auc_delong.*Expected one of auc, average_precision"):
        review(plan, described(plan=plan), described(), compared())


def test_a_plan_is_read_from_a_file_into_the_recipe(tmp_path):
    file = tmp_path / "plan.yaml"
    file.write_text(json.dumps(PLAN))
    recipe = load_recipe("phantom", [f"gate.plan={file}"])
    assert recipe.gate.plan == PLANNED
    # The resolved recipe needs the file no more.
    assert load_recipe(recipe.to_json()).gate.plan == PLANNED
    assert "plan" not in load_recipe("phantom").gate.model_dump()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "Received list"),
        ("{name: a, model: m, unknown: 1}", "unknown key"),
        ("{name: a, model: m, metrics: [{metric: auc}]}", "neither a floor nor a margin"),
    ],
)
def test_a_plan_that_is_not_valid_says_so(tmp_path, text, message):
    file = tmp_path / "plan.yaml"
    file.write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_recipe("phantom", [f"gate.plan={file}"])
    with pytest.raises(RecipeError, match="No such file"):
        load_recipe("phantom", ["gate.plan=/nowhere/plan.yaml"])


def test_settings_name_no_place():
    recipe = load_recipe(
        "phantom", ["source.root=/secret/folder", "image_training.start=s3://bucket/models/m/7"]
    )
    settings = model_settings(recipe.model_dump(mode="json")).settings
    text = json.dumps(settings)
    assert "secret" not in text and "bucket" not in text
    assert settings["image_training.start"] == "m"
    assert settings["source.adapter"] == "cbis_ddsm"
    assert not any(key.startswith(("gate", "runner", "expected")) for key in settings)


def test_settings_of_several_sources_have_their_roles_and_policies_without_their_places():
    recipe = load_recipe("phantom_sources").model_dump(mode="json")
    recipe["sources"][0] |= {"role": "external", "images": {"implants": "reject"}}
    settings = model_settings(recipe).settings
    assert settings["sources.0.role"] == "external"
    assert settings["sources.0.images.implants"] == "reject"
    assert not any(key.endswith((".root", ".tables")) for key in settings)


def test_the_plan_in_the_docs_is_valid():
    text = (REPOSITORY / "docs" / "change-control.md").read_text()
    plan = ChangePlan.model_validate(parse_yaml(text.split("```yaml\n")[1].split("```")[0]))
    assert plan.allows_retraining
    assert plan.settings.limits["image_training.batch_size"].most == 32
