"""Vendor by vendor: published evaluations by what they were trained on, tested on each vendor."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from mammo_core.cli.experiment import app
from mammo_core.datasets.manifests import publish
from mammo_core.datasets.tables import put_table
from mammo_core.errors import RecordError
from mammo_core.evaluation.kinds import EVALUATION, EvaluationFacts, EvaluationSummary
from mammo_core.experiments.vendors import vendor_matrix, vendor_page
from mammo_core.features.kinds import FRAME, FrameFacts
from mammo_core.store import open_store

SUMMARY = EvaluationSummary(
    patch_accuracy=0.5,
    auc=0.8,
    auc_ci95=(0.7, 0.9),
    n_test_images=1,
    n_test_views=1,
    n_test_patients=1,
    n_test_patches=1,
)


def put_evaluation(store, id, trained_on, gains, shuffled=False):
    """Publish an evaluation: it ranks well where the gain of a vendor is high."""
    random = np.random.default_rng(len(trained_on))
    known = pd.DataFrame({"image_id": list("ab"), "manufacturer": trained_on, "split": "train"})
    frame = FRAME.manifest(
        f"f{id}", config={}, facts=FrameFacts(mean=1, rescale_factor=1, shuffled_labels=shuffled)
    )
    tables = {"images": known, "lesions": pd.DataFrame({"lesion_id": []})}
    files = [put_table(store, frame.folder, f"{n}.parquet", rows) for n, rows in tables.items()]
    publish(store, frame.model_copy(update={"files": tuple(files)}))
    rows = []
    for vendor, gain in gains.items():
        for number in range(60):
            label = number % 2
            score = 1 / (1 + np.exp(-random.normal(gain * label)))
            key = f"{vendor}{number:02d}"
            rows.append((key, key, label, score, vendor))
    columns = ["image_id", "patient_key", "label", "probability", "manufacturer"]
    test = pd.DataFrame(rows, columns=columns)
    manifest = EVALUATION.manifest(
        id,
        config={},
        facts=EvaluationFacts(summary=SUMMARY, shuffled_labels=shuffled),
        lineage={"frame": frame.id},
    )
    file = put_table(store, manifest.folder, "test.parquet", test)
    publish(store, manifest.model_copy(update={"files": (file,)}))
    return test


@pytest.fixture
def evaluated(tmp_path):
    store = open_store(str(tmp_path / "store"))
    one = put_evaluation(store, "a", ["A", "A"], {"A": 3.0, "B": 0.5})
    put_evaluation(store, "b", ["B", "C"], {"A": 1.0, "B": 3.0, "": 1.0})
    put_evaluation(store, "c", ["A", "B"], {"A": 0.0}, shuffled=True)
    return store, one


def test_each_cell_is_the_auc_on_the_images_of_a_vendor(evaluated):
    store, one = evaluated
    cells = {(c.evaluation, c.vendor): c for c in vendor_matrix(store, replicates=200)}
    # Shuffled labels are left out; images without a vendor are a column.
    assert set(cells) == {("a", "A"), ("a", "B"), ("b", "A"), ("b", "B"), ("b", "unknown")}
    for vendor in ("A", "B"):
        rows = one[one["manufacturer"] == vendor]
        cell = cells["a", vendor]
        assert cell.auc.value == pytest.approx(roc_auc_score(rows["label"], rows["probability"]))
        assert cell.auc.low < cell.auc.value < cell.auc.high
        assert (cell.n_images, cell.n_malignant) == (60, 30)
    assert cells["a", "A"].is_known and not cells["a", "B"].is_known
    assert cells["b", "B"].trained_on == ("B", "C") and not cells["b", "A"].is_known
    assert cells["a", "A"].auc.value > cells["a", "B"].auc.value + 0.1


def test_a_page_and_a_file_show_the_matrix(evaluated, tmp_path):
    store, _ = evaluated
    html = vendor_page(vendor_matrix(store, replicates=200))
    assert html.count("not in training") == 3 and "tested on B" in html
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["vendors", "--store", store.uri, "--out", str(out)])
    assert result.exit_code == 0 and "trained on B, C; 60 images of A" in result.output
    assert len(json.loads((out / "vendors" / "result.json").read_text())) == 5


def test_an_evaluation_that_is_named_must_exist(evaluated):
    store, _ = evaluated
    shuffled = vendor_matrix(store, ["c"], replicates=200)
    assert [cell.vendor for cell in shuffled] == ["A"]
    with pytest.raises(RecordError, match="no evaluation d"):
        vendor_matrix(store, ["d"])


def test_a_store_without_evaluations_says_so(tmp_path):
    with pytest.raises(RecordError, match="which vendors"):
        vendor_matrix(open_store(str(tmp_path / "empty")))
