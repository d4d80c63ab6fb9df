"""The numbers that the docs state: each has a claim, and the claims hold."""

import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mammo_core.cli import create_app
from mammo_core.datasets import publish
from mammo_core.datasets.tables import put_table
from mammo_core.errors import RecordError
from mammo_core.evaluation.kinds import EVALUATION, EvaluationFacts, EvaluationSummary
from mammo_core.experiments.claims import (
    CLAIMS,
    compare_measures,
    measure_evaluation,
    measure_result,
    predictions_from_csv,
    read_claim,
    recompute,
)

REPOSITORY = CLAIMS.parent
NAMES = sorted(path.stem for path in CLAIMS.glob("*.yaml"))
#: Numbers of pages that no claim states: what others measured, settings and limits.
CITED = {
    "docs/evaluation.md": {"0.02"},  # by guessing
    # deviations between the seeds of the claim, and the phantom's bound
    "docs/leaks.md": {"0.010", "0.011", "0.012", "0.018", "0.022", "0.94"},
    "docs/phantom.md": {"0.62", "0.94", "0.97"},  # settings of the phantom, and its bound
    "docs/training.md": {"0.031", "0.059"},  # deviations between the runs of the claim
    "docs/performance.md": None,  # times
    "docs/original-system.md": None,  # figures of the original system and its users
    "docs/from-the-original.md": None,  # the same
    "docs/recipes.md": None,  # settings
    "docs/cli.md": None,  # settings
    "docs/acceptance.md": {"0.02", "0.05"},  # settings
    # one AUC with its interval and one accuracy, equal at two commits on one machine; both after
    # backgrounds had changed
    "docs/verification.md": {
        *("0.8969415", "0.7945177", "0.9690902", "0.8825"),
        *("0.8969", "0.8933", "0.8888"),
    },
}
_NUMBER = re.compile(r"(?<![\d.\w/,-])[+−-]?(0\.\d{2,})(?![\d.]*\d)")


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_holds(name):
    claim, folder = read_claim(name)
    assert claim.name == name
    assert all((REPOSITORY / page).is_file() for page in claim.docs)
    if claim.predictions:
        assert all(row.holds for row in recompute(claim, folder))
        assert (folder / claim.predictions).stat().st_size < 100_000
    else:
        with pytest.raises(RecordError, match="no stored predictions"):
            recompute(claim, folder)


@pytest.mark.parametrize("name", NAMES)
def test_pages_state_the_numbers_of_their_claims(name):
    claim, _ = read_claim(name)
    text = "\n".join((REPOSITORY / page).read_text() for page in claim.docs)
    stated = {float(number) for number in _NUMBER.findall(text)}
    for measure, claimed in claim.measures.items():
        if measure in ("images", "patients", "breast_auc", "patient_auc"):
            continue
        digits = range(3, 8)
        assert any(round(abs(claimed.value), n) in stated for n in digits), measure


def test_every_measured_number_of_the_docs_has_a_claim():
    claimed = {}
    for name in NAMES:
        claim, _ = read_claim(name)
        for page in claim.docs:
            claimed.setdefault(page, []).extend(m.value for m in claim.measures.values())
    unclaimed, unused = [], []
    for path in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]:
        page = str(path.relative_to(REPOSITORY))
        cited = CITED.get(page, set())
        if cited is None:
            continue
        numbers = _measured_numbers(path.read_text())
        unused += [f"{page}: {number}" for number in cited - numbers]
        for number in sorted(numbers - cited):
            digits = len(number) - 2
            values = {round(abs(value), digits) for value in claimed.get(page, ())}
            if float(number) not in values:
                unclaimed.append(f"{page}: {number}")
    assert unclaimed == [], "give each a claim (claims/*.yaml), or list it above"
    assert unused == []


def _measured_numbers(text: str) -> set[str]:
    """Decimals in paragraphs, tables and lists about an AUC or an accuracy."""
    blocks = re.split(r"\n\s*\n", text)
    return {
        number
        for at, block in enumerate(blocks)
        if re.search(r"AUC|accuracy", block)
        or (block.startswith("|") and re.search(r"AUC|accuracy", blocks[at - 1]))
        for number in _NUMBER.findall(block)
    }


@pytest.fixture
def copied(tmp_path):
    """A copy of a claim and its predictions."""
    for name in ("phantom.yaml", "phantom.csv"):
        shutil.copy(CLAIMS / name, tmp_path)
    return tmp_path


def edit_probability(folder: Path, change: float) -> None:
    path = folder / "phantom.csv"
    lines = path.read_text().splitlines()
    *cells, probability = lines[50].split(",")
    lines[50] = ",".join([*cells, repr(float(probability) + change)])
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("change", [1e-12, 0.3])
def test_one_edited_prediction_fails_the_claim(copied, change):
    edit_probability(copied, change)
    result = CliRunner().invoke(create_app(), ["reproduce", str(copied / "phantom.yaml")])
    assert isinstance(result.exception, RecordError)
    assert "not those that it was made from" in str(result.exception)


def test_a_wrong_number_fails_even_with_the_right_predictions(copied):
    path = copied / "phantom.yaml"
    path.write_text(path.read_text().replace("0.9168882978723404", "0.9268882978723404"))
    result = CliRunner().invoke(create_app(), ["reproduce", str(path)])
    assert "FAIL auc:" in result.output
    assert "1 of 7 numbers" in str(result.exception)


def test_the_command_shows_what_was_computed():
    result = CliRunner().invoke(create_app(), ["reproduce", "phantom"])
    assert result.exit_code == 0, result.output
    assert result.output.count("ok  ") == 7
    with pytest.raises(RecordError, match="no claim nowhere"):
        read_claim("nowhere")


def test_the_order_of_rows_does_not_matter(copied):
    path = copied / "phantom.csv"
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join([head, *reversed(rows)]) + "\n")
    claim, folder = read_claim(str(copied / "phantom.yaml"))
    assert all(row.holds for row in recompute(claim, folder))


def measured(store, table, seed, name="a"):
    """Publish predictions as an evaluation, and measure them."""
    summary = EvaluationSummary(
        patch_accuracy=0.9,
        auc=0.9,
        auc_ci95=(0.8, 1.0),
        n_test_images=len(table),
        n_test_views=len(table),
        n_test_patients=1,
        n_test_patches=1,
    )
    id = EVALUATION.content_id({"name": name})
    facts = EvaluationFacts(summary=summary, shuffled_labels=False)
    manifest = EVALUATION.manifest(id, config={}, facts=facts)
    file = put_table(store, f"{manifest.folder}/a", "test.parquet", table)
    publish(store, manifest.model_copy(update={"files": (file,)}))
    return measure_evaluation(store, id, seed)


def test_a_repeated_training_is_compared_within_the_tolerance(file_store):
    claim, folder = read_claim("phantom")
    table = predictions_from_csv((folder / claim.predictions).read_text())
    values = measured(file_store, table, claim.seed)
    assert all(row.holds for row in compare_measures(claim, values, exact=False))
    worse = table.assign(probability=1 - table["probability"])
    values = measured(file_store, worse, claim.seed, name="b")
    failed = {r.measure for r in compare_measures(claim, values, exact=False) if not r.holds}
    assert failed == {"auc", "breast_auc", "patient_auc"}
    with pytest.raises(RecordError, match="which evaluation"):
        measure_evaluation(file_store, "", 0)


def test_an_experiment_is_compared_by_its_result():
    arm = {"arm": "a", "auc": 0.8, "low": 0.7, "high": 0.9}
    result = {
        "summary": [arm],
        "rows": [{"trial": "a-0", "auc": 0.79}],
        "difference": {"value": 0.1, "low": 0.0, "high": 0.2, "replicates": 9},
    }
    values = measure_result(json.dumps(result).encode())
    assert values["a"] == 0.8 and values["a.low"] == 0.7 and values["a-0"] == 0.79
    assert values["difference.high"] == 0.2
    with pytest.raises(RecordError, match="result of the experiment"):
        measure_result(b"[]")
    claim, _ = read_claim("patch-pretraining")
    assert not any(
        row.holds for row in compare_measures(claim, {}, exact=False) if row.tolerance is not None
    )
