"""Append-only parts of feature views, without Feast."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from mammo_core.datasets.tables import to_parquet
from mammo_core.errors import RecordError, SourceError
from mammo_core.features import MAIN, view_files, publish_features
from mammo_core.features.definitions import IMAGE_LABEL, INTENSITY_STATISTICS, VIEWS
from mammo_core.sources.splits import require_disjoint

START = datetime(2026, 1, 1, tzinfo=UTC)


def labels(*rows):
    return pd.DataFrame(rows, columns=["image_id", "malignant", "lesion_types"])


def add(store, rows, day=0):
    return view_files.append_rows(store, "f", IMAGE_LABEL, rows, START + timedelta(days=day))


def known(store):
    table = view_files.latest_rows(store, "f", IMAGE_LABEL)
    return dict(zip(table["image_id"], table["malignant"], strict=True))


def test_rows_are_written_once_and_again_when_they_change(store):
    rows = labels(("a", 0, "mass"), ("b", 1, "calc"))
    assert add(store, rows) == 2
    assert add(store, rows[::-1], day=1) == 0
    assert add(store, labels(("a", 1, "mass"), ("b", 1, "calc"), ("c", 0, "")), day=2) == 2
    assert known(store) == {"a": 1, "b": 1, "c": 0}
    assert add(store, rows, day=3) == 1  # back to what it was: that is news
    assert known(store) == {"a": 0, "b": 1, "c": 0}
    assert len(list(store.list("f/image_label"))) == 3


def test_state_changes_with_each_part(file_store):
    seen = {view_files.frame_state(file_store, "f")}
    for day, rows in enumerate([labels(("a", 0, "")), labels(("a", 0, "")), labels(("a", 1, ""))]):
        add(file_store, rows, day)
        seen.add(view_files.frame_state(file_store, "f"))
    assert len(seen) == 3


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


def test_a_key_twice_is_refused(file_store):
    with pytest.raises(RecordError, match=r"got a key twice.*'a'"):
        add(file_store, labels(("a", 0, ""), ("a", 1, "")))


def test_lacking_columns_are_named(file_store):
    with pytest.raises(RecordError, match="no malignant, lesion_types"):
        add(file_store, pd.DataFrame({"image_id": ["a"]}))


def test_a_number_that_is_none_is_refused(file_store):
    with pytest.raises(RecordError, match=r"image_label.*malignant"):
        add(file_store, labels(("a", None, "mass")))


def test_the_mirror_holds_every_part(store, tmp_path):
    add(store, labels(("a", 0, "mass")))
    view_files.mirror(store, "f", tmp_path / "mirror")
    folders = sorted(path.name for path in (tmp_path / "mirror").iterdir())
    assert folders == sorted(view.name for view in VIEWS)
    (part,) = (tmp_path / "mirror" / "image_label").iterdir()
    assert list(pd.read_parquet(part)["image_id"]) == ["a"]


def test_a_damaged_part_is_named(file_store):
    add(file_store, labels(("a", 0, "")))
    (key,) = file_store.list("f/image_label")
    file_store.write(key, file_store.read(key)[:40])
    with pytest.raises(RecordError, match=f"The part {key} .* is damaged"):
        known(file_store)


def test_parts_of_an_older_release_lack_what_is_optional(file_store):
    old = labels(("a", 0, "")).assign(event_timestamp=START, created=START)
    file_store.write("f/image_label/part-0.parquet", to_parquet(old))
    assert view_files.latest_rows(file_store, "f", IMAGE_LABEL)["label_origin"].item() == ""
    file_store.write("f/image_label/part-1.parquet", to_parquet(old.drop(columns="malignant")))
    with pytest.raises(RecordError, match=r"part-1\.parquet .* not of its view.*no malignant"):
        known(file_store)


def test_a_clock_that_goes_back_loses_no_correction(file_store):
    add(file_store, labels(("a", 0, "")), day=5)
    add(file_store, labels(("a", 1, "")), day=0)  # another machine's clock
    assert known(file_store) == {"a": 1}


def test_two_writers_at_once_write_each_row_once(store, made):
    """Threads publish the same features; the lease lets one after the other."""
    with ThreadPoolExecutor(4) as pool:
        written = list(pool.map(lambda _: publish_features(store, made.tables()), range(4)))
    assert sum(each["image_label"] for each in written) == 16
    assert len(view_files.read_rows(store, MAIN, IMAGE_LABEL)) == 16


def test_disjoint_splits():
    images = pd.DataFrame(
        {"patient_key": list("aabb"), "split": ["train", "train", "test", "test"]}
    )
    require_disjoint(images)
    with pytest.raises(SourceError, match=r"1 patients .* the first is b"):
        require_disjoint(images.assign(split=["train", "train", "test", "validation"]))
