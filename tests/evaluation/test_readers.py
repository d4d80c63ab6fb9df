"""Tables of readers: complete studies, the model as second reader, and what is refused."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mammo_core.cli import create_app
from mammo_core.errors import RecordError
from mammo_core.evaluation.readers.second import second_reader
from mammo_core.evaluation.readers.study import study_of_table
from mammo_core.metrics.reader_study import reader_study


def run(*arguments):
    return CliRunner().invoke(create_app(), ["readers", *map(str, arguments)])


def study_rows(cases=40, readers=3):
    rng = np.random.default_rng(0)
    labels = np.arange(cases) % 2
    scores = rng.normal(labels + rng.normal(0, 0.3, (2, readers, 1)), 1.0, (2, readers, cases))
    rows = [
        {
            "case_id": f"case{case:02d}",
            "label": labels[case],
            "reader": f"reader{reader}",
            "modality": ("alone", "with model")[modality],
            "score": scores[modality, reader, case],
        }
        for modality in range(2)
        for reader in range(readers)
        for case in range(cases)
    ]
    return labels, scores, pd.DataFrame(rows)


def test_a_study_from_a_table_is_that_of_its_scores(tmp_path):
    labels, scores, rows = study_rows()
    rows.sample(frac=1, random_state=1).to_csv(tmp_path / "study.csv", index=False)
    named = study_of_table(str(tmp_path / "study.csv"))
    assert named.modalities == ("alone", "with model") and named.n_cases == 40
    assert named.readers == ("reader0", "reader1", "reader2") and named.n_malignant == 20
    expected = reader_study(labels, scores)
    assert named.result.f == pytest.approx(expected.f)
    assert named.result.p_value == pytest.approx(expected.p_value)
    text = run("study", tmp_path / "study.csv").output
    assert "alone - with model: " in text and f"p {expected.p_value:.4f}" in text
    document = json.loads(run("study", tmp_path / "study.csv", "--json").output)
    estimate = document["result"]["differences"]["alone - with model"]
    assert estimate["value"] == pytest.approx(expected.differences[(0, 1)].value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.iloc[:-1], "not complete"),
        (lambda rows: pd.concat([rows, rows.iloc[:1]]), "not complete"),
        (lambda rows: rows[rows["reader"] == "reader0"], "two modalities and two readers"),
        (lambda rows: rows.drop(columns="score"), "without score"),
        (lambda rows: rows.assign(name="x"), "with name"),
        (lambda rows: rows.assign(label=rows["label"] * 2), "0 or 1 in label"),
        (lambda rows: rows.assign(score="high"), "a number in score"),
        (lambda rows: rows.assign(reader=""), "a value in reader"),
        (lambda rows: rows.assign(label=np.arange(len(rows)) // 3 % 2), "contradict"),
        (lambda rows: rows.iloc[:0], "0 rows"),
    ],
)
def test_what_is_no_study_is_refused(tmp_path, change, message):
    change(study_rows()[2]).to_csv(tmp_path / "study.csv", index=False)
    with pytest.raises(RecordError, match=message):
        study_of_table(str(tmp_path / "study.csv"))


def exams(**columns):
    table = {
        "case_id": [f"e{k}" for k in range(8)],
        "label": [1, 1, 1, 1, 0, 0, 0, 0],
        "first": [1, 1, 0, 0, 1, 0, 0, 0],
        "second": [1, 0, 1, 0, 0, 0, 1, 0],
        "third": [1, 1, 0, 1, 0, 0, 0, 0],
        "probability": [0.9, 0.8, 0.2, 0.7, 0.1, 0.6, 0.1, 0.1],
    }
    return pd.DataFrame(table | columns)


def test_the_second_reader_by_hand(tmp_path):
    exams().to_csv(tmp_path / "exams.csv", index=False)
    result = second_reader(str(tmp_path / "exams.csv"), 0.5, replicates=200)
    people, model = result.readings
    # By people: e1, e2, e4 and e6 disagree, the third recalls e1 alone.
    assert people.sensitivity.value == 2 / 4 and people.specificity.value == 1.0
    # Wilson's interval of 4 patients of 4: 4 / (4 + 1.96²).
    assert people.specificity.low == pytest.approx(4 / (4 + 1.959964**2), abs=1e-6)
    assert people.arbitrations.value == 4 / 8 and people.reads.value == 2.5
    # With the model: e3, e4 and e5 disagree, the third recalls e3 alone.
    assert model.sensitivity.value == 3 / 4 and model.specificity.value == 1.0
    assert model.arbitrations.value == 3 / 8 and model.reads.value == 1.375
    assert result.differences["sensitivity"].value == pytest.approx(0.25)
    assert result.differences["reads"].value == pytest.approx(-1.125)
    text = run("second", tmp_path / "exams.csv", "--threshold", "0.5").output
    assert "8 exams, 4 with a cancer" in text and "readings an exam 1.375" in text
    document = json.loads(
        run("second", tmp_path / "exams.csv", "--threshold", "0.5", "--json").output
    )
    assert document["readings"][1]["name"] == "reader and model"


def test_exams_of_a_patient_stay_together(tmp_path):
    """With one patient for all exams there is nothing to draw: no interval."""
    exams(patient_id=["a", "a", "b", "b", "c", "c", "d", "d"]).to_csv(
        tmp_path / "exams.csv", index=False
    )
    result = second_reader(str(tmp_path / "exams.csv"), 0.5, replicates=400)
    assert result.readings[0].recall_rate.high - result.readings[0].recall_rate.low > 0


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"third": [2] * 8}, "0 or 1 in third"),
        ({"probability": [""] * 8}, "a number in probability"),
    ],
)
def test_decisions_that_cannot_be_used_are_named_by_row(tmp_path, columns, message):
    exams(**columns).to_csv(tmp_path / "exams.csv", index=False)
    answer = run("second", tmp_path / "exams.csv", "--threshold", "0.5")
    assert answer.exit_code and isinstance(answer.exception, RecordError)
    assert message in str(answer.exception)
    assert "exams.csv line 2" in str(answer.exception)
