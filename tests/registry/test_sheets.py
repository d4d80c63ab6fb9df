"""Reporting sheets: every item is answered from the package, or says why it is not available."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mammo_core.cli.models import app
from mammo_core.errors import RecipeError
from mammo_core.evaluation import EvaluationConfig, evaluate
from mammo_core.evaluation.decisions import DecisionRules
from mammo_core.packaging import verify
from mammo_core.packaging.chain import Chain, Link
from mammo_core.packaging.contents import TrainingData
from mammo_core.packaging.settings import model_settings
from mammo_core.recipes import load_recipe
from mammo_core.registry.change_plan.changes import Change
from mammo_core.registry.change_plan.plan import ChangePlan
from mammo_core.registry.release_decision import ReleaseDecision
from mammo_core.registry.sheets.evidence import Evidence, read_evidence
from mammo_core.registry.sheets.render import SHEETS, to_html, to_markdown
from mammo_core.registry.sheets.sheet import answer_to, fill
from mammo_core.registry.sheets.statements import Statements, read_statements
from mammo_core.sources.card.terms import Terms

ITEMS = [
    pytest.param(item, id=f"{name}-{item.number}")
    for name, sheet in SHEETS.items()
    for item in sheet.items
]


def predictions(patients, seed, start):
    random = np.random.default_rng(seed)
    numbers = np.arange(start, start + patients)
    labels = numbers % 2
    return pd.DataFrame(
        {
            "image_id": [f"I{n}" for n in numbers],
            "patient_key": [f"P{n}" for n in numbers],
            "exam_key": [f"E{n}" for n in numbers],
            "view_id": [f"V{n}" for n in numbers],
            "laterality": "L",
            "view": np.where(numbers % 3 == 0, "CC", "MLO"),
            "view_class": np.where(numbers % 3 == 0, "CC", "MLO"),
            "source": np.where(numbers % 4 < 2, "first", "second"),
            "label": labels,
            "probability": np.clip(0.3 * labels + random.uniform(0, 0.7, patients), 0, 1),
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory, make):
    """A package with everything that a run writes into it, before its release."""
    config = EvaluationConfig(bootstrap_replicates=100)
    result = evaluate(predictions(60, 1, 0), predictions(40, 2, 100), config, 1)
    folder = tmp_path_factory.mktemp("sheets") / "package"
    make.build(
        folder,
        make.network(1),
        metrics={**result.summary(), "details": {"image": result.model_dump(mode="json")}},
        lineage={"frame_id": "f" * 32, "evaluation_id": "e" * 32, "git_sha": "abc"},
        rules=result.rules,
        training_data=TrainingData(
            description="synthetic phantoms, cbis_ddsm, recipe phantom",
            license="none needed",
            weights="random",
            split="official",
            images={"train": 30, "validation": 40, "test": 60},
            patients={"train": 30, "validation": 40, "test": 60},
            malignant={"train": 10, "validation": 20, "test": 30},
            views=("CC", "MLO"),
            manufacturers=("phantom",),
            bits_stored=(12,),
            smallest=(100, 80),
        ),
        settings=model_settings(load_recipe("phantom").model_dump(mode="json")),
    )
    return folder


@pytest.fixture(scope="module")
def evidence(folder):
    return read_evidence(verify(folder))


def variants(e: Evidence):
    """The same evidence, each with some facts changed or gone."""
    changed = {
        key: 77 if isinstance(value, int | float) and not isinstance(value, bool) else "other"
        for key, value in e.settings.items()
        if value is not None
    }
    data = e.data.model_copy(
        update={
            "description": "another collection",
            "weights": "imagenet",
            "split": "folds",
            "images": {"train": 1, "test": 2},
            "patients": {"train": 1, "test": 1},
            "malignant": {"train": 1, "test": 1},
            "manufacturers": ("hologic",),
            "views": ("CC",),
            "policy": e.data.policy.model_copy(update={"implants": "reject"}),
            "gray_levels": {},
        }
    )
    plan = ChangePlan(name="spring", model="m")
    change = Change(part="data", name="x", before="", after="y", allowed=True, rule="z")
    decision = ReleaseDecision(
        model_id="m", decision="push", reasons=("good",), gate={}, plan=plan, changes=(change,),
        links=(),
    )  # fmt: skip
    image = json.loads(json.dumps(e.image))
    image["subgroups"] = [g for g in image["subgroups"] if g["by"] == "view"][:1]
    image["group_differences"] = []
    image["levels"] = image["levels"][:1]
    image["levels"][0]["auc"]["value"] = 0.123
    image["levels"][0]["operating_points"] = []
    image["config"]["bootstrap_replicates"] = 777
    image["at_operating_point"] = None
    card = json.loads(json.dumps(e.card))
    card["intended_use"], card["limitations"] = "Another use.", ["Another limit."]
    card["classes"] = {"pos": 0, "neg": 1}
    card["network_data_format"]["inputs"]["image"]["type"] = "another picture"
    pointing = {"lesion": {"value": 0.5, "low": 0.4, "high": 0.6}}
    yield replace(e, settings=changed)
    yield replace(e, data=data)
    yield replace(e, data=data.model_copy(update={"gray_levels": e.data.gray_levels}))
    yield replace(e, image=image)
    yield replace(e, metrics={**e.metrics, "auc": 0.1, "n_test_patients": 5, "auc_ci95": [0, 1]})
    yield replace(e, rules=DecisionRules(flips=True, aggregation={"views": "max"}))
    yield replace(e, card=card)
    yield replace(e, decision=decision)
    yield replace(e, lineage={"git_sha": "def"})
    yield replace(e, package=e.package.model_copy(update={"model_id": "0" * 64, "patch_size": 9}))
    yield replace(e, preprocessing=e.preprocessing.model_copy(update={"bit_depth": 8}))
    yield replace(e, localization={"n_views": 3, "n_marks": 4, "pointing": pointing})
    held_out = {"source": "other", "role": "external", "n_images": 3, "n_patients": 2}
    yield replace(e, by_source=[{**held_out, "n_malignant": 1, "note": "few patients"}])
    yield replace(
        e, screening={"config": {"prevalence": 0.006}, "points": [], "n_exams": 9, "n_malignant": 2}
    )


def test_the_sheets_have_the_items_of_their_guidelines():
    """TRIPOD+AI has 27 items with 52 parts, CLAIM 2024 has 44."""
    numbers = {name: [item.number for item in sheet.items] for name, sheet in SHEETS.items()}
    assert len(numbers["tripod-ai"]) == 52
    assert {int(number.rstrip("abcdefg")) for number in numbers["tripod-ai"]} == set(range(1, 28))
    assert numbers["claim-2024"] == [str(number) for number in range(1, 45)]
    for listed in numbers.values():
        assert len(set(listed)) == len(listed)


@pytest.mark.parametrize("item", ITEMS)
def test_an_item_is_answered_or_says_why_and_follows_the_facts(item, evidence):
    answer = answer_to(item, evidence)
    assert bool(answer.text) != bool(answer.why)
    if item.fill is not None:
        answers = {answer_to(item, each) for each in variants(evidence)}
        # No item is a fixed text: some fact of the package changes it.
        assert answers - {answer}
    if item.statement:
        stated = replace(evidence, statements=Statements(**{item.statement: "As agreed."}))
        assert answer_to(item, stated).text.endswith("As agreed.")
        assert answer_to(item, stated).text.startswith(answer.text)
    else:
        assert item.fill is not None


def test_every_statement_belongs_to_an_item_and_is_in_the_docs():
    used = {item.statement for sheet in SHEETS.values() for item in sheet.items}
    assert set(Statements.model_fields) <= used
    text = (Path(__file__).parents[2] / "docs" / "sheets.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == set(Statements.model_fields)


def test_most_items_are_answered_from_the_run_alone(evidence):
    counts = {name: fill(sheet, evidence).available for name, sheet in SHEETS.items()}
    # The others are what only people know.
    assert counts["tripod-ai"] >= 30 and counts["claim-2024"] >= 33
    assert counts["model-card"] >= 24


def test_figures_and_terms_of_the_run_are_in_the_sheets(evidence):
    terms = Terms(name="own", license="own agreement", forbids=("serving",))
    changed = replace(evidence, data=evidence.data.model_copy(update={"terms": (terms,)}))
    text = to_markdown(fill(SHEETS["claim-2024"], changed))
    assert f"{evidence.metrics['auc']:.4f}" in text
    assert "own agreement" in text and "Terms that restrict the model or its data: own" in text
    assert "30 images of 30 patients, 10 malignant" in text
    assert "ResNet" not in text and "compact" in text


def test_markdown_and_html_show_every_item_and_escape_texts(evidence):
    stated = replace(evidence, statements=Statements(funding="<script>a|b</script>"))
    for sheet in SHEETS.values():
        filled = fill(sheet, stated)
        markdown, html = to_markdown(filled), to_html(filled)
        for item in sheet.items:
            assert f"| {item.number} | {item.topic} |" in markdown
            assert f">{item.number}</td>" in html
        assert "<script>a" not in markdown and "<script>a" not in html
    assert "a\\|b" in to_markdown(fill(SHEETS["tripod-ai"], stated))


def test_a_source_that_was_held_out_is_the_external_test(evidence):
    result = {"source": "b", "role": "external", "n_images": 9, "n_patients": 5, "n_malignant": 4}
    auc = {"value": 0.7, "low": 0.6, "high": 0.8}
    matrix = [{**result, "role": "training", "source": "a"}, {**result, "auc": auc, "note": ""}]
    filled = fill(SHEETS["claim-2024"], replace(evidence, by_source=matrix))
    answers = {item.number: answer.text for item, answer in filled.rows}
    assert answers["33"] == (
        "b: AUC 0.7000 (0.6000 to 0.8000), 9 images of 5 patients, 4 malignant"
    )


def test_a_package_without_settings_says_so(evidence):
    bare = replace(evidence, settings={}, chain=None, decision=None)
    filled = fill(SHEETS["claim-2024"], bare)
    answers = {item.number: answer for item, answer in filled.rows}
    assert "before settings were recorded" in answers["25"].why


def test_the_chain_is_counted(evidence):
    link = Link(kind="frames", id="f" * 32, manifest="0" * 64)
    filled = fill(SHEETS["model-card"], replace(evidence, chain=Chain(links=(link,))))
    answers = {item.number: answer for item, answer in filled.rows}
    assert "(1 outputs by digest)" in answers["1.6"].text


def test_the_command_writes_files_and_takes_statements(folder, tmp_path):
    stated = tmp_path / "statements.yaml"
    stated.write_text("funding: Nobody paid.\n")
    out = tmp_path / "out"
    line = ["sheet", str(folder), "--out", str(out), "--statements", str(stated), "--json"]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.output
    names = {f"{name}.{ending}" for name in SHEETS for ending in ("html", "md")}
    assert {path.name for path in out.iterdir()} == names
    assert "Nobody paid." in (out / "tripod-ai.md").read_text()
    one = CliRunner().invoke(app, ["sheet", str(folder), "--sheet", "claim-2024"])
    assert one.output.startswith("# CLAIM 2024: test-model, not released")


def test_another_sheet_or_statement_is_refused(folder, tmp_path):
    done = CliRunner().invoke(app, ["sheet", str(folder), "--sheet", "stard"])
    assert isinstance(done.exception, RecipeError) and "claim-2024" in str(done.exception)
    stated = tmp_path / "statements.yaml"
    stated.write_text("money: a lot\n")
    with pytest.raises(RecipeError, match=r"funding.*money"):
        read_statements(stated)
