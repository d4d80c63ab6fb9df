"""The files of feature views, without Feast."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from mammo_core.datasets.tables import to_parquet
from mammo_core.errors import RecordError, SourceError
from mammo_core.features import MAIN, publish_features, view_files
from mammo_core.features.definitions import IMAGE_LABEL, INTENSITY_STATISTICS, VIEWS
from mammo_core.sources.splitting.splits import require_disjoint
from tests.support.feature_tables import make_tables

START = datetime(2026, 1, 1, tzinfo=UTC)


def labels(*rows):
    return pd.DataFrame(rows, columns=["image_id", "malignant", "lesion_types"])


def append(store, rows, day=0):
    return view_files.append_rows(store, "f", IMAGE_LABEL, rows, START + timedelta(days=day))


def latest_labels(store):
    table = view_files.latest_rows(store, "f", IMAGE_LABEL)
    return dict(zip(table["image_id"], table["malignant"], strict=True))


def test_rows_are_written_once_and_again_if_they_change(store):
    rows = labels(("a", 0, "mass"), ("b", 1, "calc"))
    assert append(store, rows) == 2
    assert append(store, rows[::-1], day=1) == 0
    assert append(store, labels(("a", 1, "mass"), ("b", 1, "calc"), ("c", 0, "")), day=2) == 2
    assert latest_labels(store) == {"a": 1, "b": 1, "c": 0}
    assert append(store, rows, day=3) == 1  # back to an earlier value
    assert latest_labels(store) == {"a": 0, "b": 1, "c": 0}
    assert len(list(store.list("f/image_label"))) == 3


def test_the_state_changes_with_each_file(file_store):
    states = {view_files.frame_state(file_store, "f")}
    for day, rows in enumerate([labels(("a", 0, "")), labels(("a", 0, "")), labels(("a", 1, ""))]):
        append(file_store, rows, day)
        states.add(view_files.frame_state(file_store, "f"))
    assert len(states) == 3


def test_keys_of_several_columns(file_store):
    rows = pd.DataFrame(
        {
            "image_id": ["a", "a"],
            "dataset_id": ["x", "y"],
            "mean": [1.0, 2.0],
            "standard_deviation": 0.5,
            "maximum": 9,
        }
    )
    assert view_files.append_rows(file_store, "f", INTENSITY_STATISTICS, rows, START) == 2
    assert len(view_files.latest_rows(file_store, "f", INTENSITY_STATISTICS)) == 2


def test_a_duplicate_key_is_refused(file_store):
    with pytest.raises(RecordError, match=r"has a duplicate key.*'a'"):
        append(file_store, labels(("a", 0, ""), ("a", 1, "")))


def test_missing_columns_are_named(file_store):
    with pytest.raises(RecordError, match="no malignant, lesion_types"):
        append(file_store, pd.DataFrame({"image_id": ["a"]}))


def test_a_missing_value_is_refused(file_store):
    with pytest.raises(RecordError, match=r"image_label.*malignant"):
        append(file_store, labels(("a", None, "mass")))


def test_the_mirror_contains_all_rows(store, tmp_path):
    append(store, labels(("a", 0, "mass")))
    view_files.mirror(store, "f", tmp_path / "mirror")
    folders = sorted(path.name for path in (tmp_path / "mirror").iterdir())
    assert folders == sorted(view.name for view in VIEWS)
    (file,) = (tmp_path / "mirror" / "image_label").iterdir()
    assert list(pd.read_parquet(file)["image_id"]) == ["a"]


def test_a_damaged_file_is_named(file_store):
    append(file_store, labels(("a", 0, "")))
    (key,) = file_store.list("f/image_label")
    file_store.write(key, file_store.read(key)[:40])
    with pytest.raises(RecordError, match=f"The file {key} .* is damaged"):
        latest_labels(file_store)


def test_a_file_may_lack_optional_columns(file_store):
    old = labels(("a", 0, "")).assign(event_timestamp=START, created=START)
    file_store.write("f/image_label/rows-0.parquet", to_parquet(old))
    assert view_files.latest_rows(file_store, "f", IMAGE_LABEL)["label_origin"].item() == ""
    file_store.write("f/image_label/rows-1.parquet", to_parquet(old.drop(columns="malignant")))
    with pytest.raises(
        RecordError, match=r"rows-1\.parquet .* lacks columns of its view.*no malignant"
    ):
        latest_labels(file_store)


def test_an_earlier_clock_loses_no_correction(file_store):
    append(file_store, labels(("a", 0, "")), day=5)
    append(file_store, labels(("a", 1, "")), day=0)  # another machine's clock
    assert latest_labels(file_store) == {"a": 1}


def test_concurrent_writers_write_each_row_once(store):
    """Threads publish the same features, one after the other because of the lease."""
    with ThreadPoolExecutor(4) as pool:
        written = list(pool.map(lambda _: publish_features(store, make_tables()), range(4)))
    assert sum(counts["image_label"] for counts in written) == 16
    assert len(view_files.read_rows(store, MAIN, IMAGE_LABEL)) == 16


def test_disjoint_splits():
    images = pd.DataFrame(
        {"patient_key": list("aabb"), "split": ["train", "train", "test", "test"]}
    )
    require_disjoint(images)
    with pytest.raises(SourceError, match=r"1 patients .* the first is b"):
        require_disjoint(images.assign(split=["train", "train", "test", "validation"]))
