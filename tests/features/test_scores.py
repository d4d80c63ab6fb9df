"""Scores of models and locations of records, published without Feast."""

import pandas as pd
import pytest

from mammo_core.datasets import Manifest, StoredFile
from mammo_core.datasets.tables import put_table
from mammo_core.errors import RecordError
from mammo_core.features import MAIN, publish_features, publish_scores, view_files
from mammo_core.features.definitions import MODEL_SCORES
from mammo_core.features.locations import record_locations
from tests.support.feature_tables import make_tables


def scores_of(tables, first=0.25):
    ids = tables.images["image_id"]
    return pd.DataFrame({"image_id": ids, "probability": [first] + [0.5] * (len(ids) - 1)})


def test_scores_are_features_of_image_and_model(store):
    tables = make_tables()
    publish_features(store, tables)
    state = view_files.frame_state(store, MAIN)
    options = {"folder": MAIN, "evaluation_id": "e1"}
    assert publish_scores(store, scores_of(tables), model_id="m1", **options) == 16
    assert publish_scores(store, scores_of(tables), model_id="m1", **options) == 0
    assert publish_scores(store, scores_of(tables, 0.75), model_id="m1", **options) == 1
    assert publish_scores(store, scores_of(tables), model_id="m2", **options) == 16
    table = view_files.latest_rows(store, MAIN, MODEL_SCORES).set_index(["image_id", "model_id"])
    first = tables.images["image_id"].iloc[0]
    assert table.loc[(first, "m1"), "malignant_probability"] == 0.75
    assert table.loc[(first, "m2"), "malignant_probability"] == 0.25
    # Frames do not depend on scores, so earlier frames are still valid.
    assert view_files.frame_state(store, MAIN) == state


def test_a_score_of_an_unknown_image_is_refused(file_store):
    tables = make_tables()
    publish_features(file_store, tables)
    scores = pd.DataFrame({"image_id": ["nobody"], "probability": [0.5]})
    with pytest.raises(RecordError, match="unknown image: nobody"):
        publish_scores(file_store, scores, folder=MAIN, model_id="m1")


@pytest.mark.parametrize("value", [1.5, -0.1, float("nan")])
def test_a_score_that_is_not_a_probability_is_refused(file_store, value):
    scores = pd.DataFrame({"image_id": ["a"], "probability": [value]})
    with pytest.raises(RecordError, match="score of the image a is not a probability"):
        publish_scores(file_store, scores, folder=MAIN, model_id="m1")


def test_positions_count_excluded_records(file_store):
    files = tuple(
        StoredFile(name=name, key=f"d/{name}", sha256="", size=1, count=2, excluded=excluded)
        for name, excluded in (("shard-00000", ("b",)), ("shard-00001", ()))
    )
    rows = [("c", "shard-00000"), ("a", "shard-00000"), ("b", "shard-00001"), ("rejected", "")]
    items = put_table(
        file_store, "d", "items.parquet", pd.DataFrame(rows, columns=["image_id", "shard"])
    )
    dataset = Manifest(kind="datasets/images", id="d", revision=1, config={}, files=(*files, items))
    assert sorted(record_locations(file_store, dataset).to_numpy().tolist()) == [
        ["a", "d/shard-00000", 0],
        ["b", "d/shard-00001", 0],
        ["c", "d/shard-00000", 2],
    ]
