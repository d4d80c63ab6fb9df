"""The performance on each of several sources, and on sources that are held out."""

import numpy as np
import pandas as pd
import pytest

from mammo_core.evaluation.config import EvaluationConfig
from mammo_core.evaluation.report.sources import (
    source_metrics_table,
    sources,
    sources_table,
)
from mammo_core.evaluation.source_matrix import ALL, evaluate_sources, source_aucs
from mammo_core.evaluation.whole_image import evaluate
from mammo_core.metrics import auc
from mammo_core.packaging.card import _sources as card_lines
from mammo_core.reporting import Page

CONFIG = EvaluationConfig(bootstrap_replicates=200)
SOURCES = {
    "film": {"role": "training"},
    "bright": {"role": "training"},
    "dark": {"role": "external"},
    "calm": {"role": "external"},
}


def predictions(name, count, quality, *, split, labels=(0, 1)):
    draw = np.random.default_rng([count, len(name)])
    rows = [
        {
            "image_id": f"{split}-{name}-{at:03d}",
            "patient_key": f"{name}:{split}{at // 2:03d}",
            "exam_key": "",
            "view_id": f"{name}:{split}{at // 2:03d}_LEFT_{'CC' if at % 2 else 'MLO'}",
            "laterality": "LEFT",
            "view": "CC" if at % 2 else "MLO",
            "view_class": "CC" if at % 2 else "MLO",
            "label": labels[at // 2 % len(labels)],
            "source_name": name,
        }
        for at in range(count)
    ]
    table = pd.DataFrame(rows)
    logit = table["label"] * quality + draw.normal(size=count)
    return table.assign(probability=1 / (1 + np.exp(-logit)))


@pytest.fixture(scope="module")
def tables():
    test = pd.concat(
        [predictions("film", 60, 2.0, split="t"), predictions("bright", 40, 1.0, split="t")],
        ignore_index=True,
    )
    external = pd.concat(
        [
            predictions("dark", 80, 0.5, split="e"),
            predictions("calm", 20, 0.5, split="e", labels=(0,)),
        ],
        ignore_index=True,
    )
    return test, external, predictions("film", 60, 2.0, split="v")


@pytest.fixture(scope="module")
def results(tables):
    test, external, validation = tables
    rules = evaluate(test, validation, CONFIG, 1).rules
    return evaluate_sources(test, external, SOURCES, rules, CONFIG, 1)


def test_each_source_has_a_row_and_the_training_sources_one_together(results, tables):
    assert [result.source for result in results] == ["film", "bright", ALL, "dark", "calm"]
    test, external, _ = tables
    rows = {name: test[test["source_name"] == name] for name in ("film", "bright")}
    rows |= {ALL: test, "dark": external[external["source_name"] == "dark"]}
    for result in results[:4]:
        mine = rows[result.source]
        assert result.n_images == len(mine)
        assert result.auc.value == auc(mine["label"], mine["probability"])
        assert result.auc.low <= result.auc.value <= result.auc.high
        point = mine["probability"] >= result.threshold
        assert result.sensitivity.value == point[mine["label"] == 1].mean()
        assert result.specificity.value == 1 - point[mine["label"] == 0].mean()


def test_one_threshold_for_all_sources(results):
    assert len({result.threshold for result in results[:4]}) == 1


def test_a_source_of_one_class_has_its_counts_and_a_reason(results):
    calm = results[-1]
    assert (calm.n_images, calm.n_malignant, calm.auc) == (20, 0, None)
    assert calm.note
    assert "calm" not in source_aucs(results)
    assert set(source_aucs(results)) == {"film", "bright", ALL, "dark"}


def test_the_report_and_the_card_show_the_matrix(results):
    page = Page("report")
    settings = CONFIG.metric_settings("isotonic")
    sources(page, results, settings)
    html = page.html()
    assert "Source matrix" in html and "Trained on film, bright; held out: dark, calm" in html
    rows = sources_table(results)
    assert [row["patients of it"] for row in rows] == ["test patients"] * 3 + ["all, held out"] * 2
    assert rows[-1]["AUC"] == "–"
    assert {"film", "dark", "calm"} <= set(source_metrics_table(results, settings)[0])
    names = [row["metric"] for row in source_metrics_table(results, settings)]
    assert len(set(names)) == len(names)
    lines = card_lines([result.model_dump(mode="json") for result in results])
    assert sum(line.startswith("| dark | all, held out | 80 | 40 | 0.") for line in lines) == 1


def test_without_several_sources_nothing_is_added():
    page = Page("report")
    before = page.html()
    sources(page, (), CONFIG.metric_settings("none"))
    assert page.html() == before
    assert card_lines(()) == []
