"""Publishing features and frames. Each publication opens Feast once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pandas as pd
import pytest

from mammo_core.datasets.tables import read_table
from mammo_core.errors import RecordError, SourceError
from mammo_core.features import find_frame, frame_as_of, join, publish_frame, read_frame
from mammo_core.features.definitions import VIEWS, open_feast
from mammo_core.features.join import JoinKeys
from mammo_core.preprocessing import IntensityConfig
from mammo_core.store import open_store
from tests.support.feature_tables import correct_tables, make_tables


def list_view_files(store, folder="features/main"):
    return [key for key in store.list(folder) if key.endswith(".parquet")]


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """Frames published, published again, corrected, and published for the past."""
    store = open_store(str(tmp_path_factory.mktemp("features")))
    tables = make_tables()
    events = SimpleNamespace(store=store, tables=tables, corrected=correct_tables(tables))
    events.first = publish_frame(store, tables)
    events.first_files = list_view_files(store)
    events.between = datetime.now(UTC)
    events.again = publish_frame(store, tables)
    events.again_files = list_view_files(store)
    events.existing = find_frame(store, tables)
    events.second = publish_frame(store, events.corrected)
    events.second_files = list_view_files(store)
    events.existing_after = find_frame(store, tables)
    events.past = publish_frame(store, events.corrected, at=events.between)
    events.existing_corrected = find_frame(store, events.corrected)
    return events


def test_the_list_of_patients_is_published_with_the_frame(history):
    patients = read_table(history.store, history.first, "splits.parquet")
    pd.testing.assert_frame_equal(patients, history.tables.patients)


def test_a_join_in_parts_gives_the_same_rows(history, monkeypatch):
    tables = history.tables
    keys = JoinKeys(
        tables.folder,
        tuple(tables.images["image_id"]),
        tuple(tables.lesions["lesion_id"]),
        tables.assignment_id,
        tables.dataset_id,
    )
    whole = join.join(history.store, keys)
    monkeypatch.setattr(join, "_PART", 5)
    assert len(keys.image_ids) > 5 and len(keys.lesion_ids) > 5
    for one, other in zip(whole, join.join(history.store, keys), strict=True):
        pd.testing.assert_frame_equal(one, other)


def test_a_frame_contains_the_images_with_label_and_split(history):
    frame, images = read_frame(history.store, history.first.id), history.tables.images
    assert list(frame.images["image_id"]) == sorted(images["image_id"])
    by_id = images.set_index("image_id")
    for row in frame.images.itertuples():
        image = by_id.loc[row.image_id]
        assert row.label == image["malignant"]
        assert row.split == history.tables.splits[row.image_id]
        assert (row.view_id, row.patient_key, row.breast_density) == (
            image["view_id"],
            image["patient_key"],
            image["breast_density"],
        )
        number = int(row.patient_key[2:])
        assert (row.exam_key, row.exam_day, row.view_class) == ("", 10 * number, image["view"])
        # Feast knows numbers only: yes, no and unknown come back as they were.
        assert row.implant is (True, False, None)[number % 3]
        # What else the source says about the breast, and where its label comes from.
        known = bool(number % 2)
        assert row.label_origin == ("biopsy" if known else "source")
        assert row.invasive is (True if known else None)
        assert (row.birads == 5, row.years_to_cancer == 0) == (known, known)
        assert (row.site, row.machine) == (str(number % 2), "")
    assert frame.images["area_mm2"].isna().all()
    assert [len(frame.split(name)) for name in ("train", "validation", "test")] == [8, 4, 4]
    for column in ("label", "breast_density", "bits_stored"):
        assert frame.images[column].dtype == "int64"  # Feast returns floats


def test_a_frame_contains_the_lesions_with_class_and_split(history):
    lesions = read_frame(history.store, history.first.id).lesions.set_index("lesion_id")
    assert lesions.loc["P_00000_LEFT_MLO_mass_1", "patch_class"] == "mass_ben"
    assert lesions.loc["P_00003_LEFT_MLO_mass_1", "patch_class"] == "mass_mal"
    assert lesions.loc["P_00004_LEFT_MLO_calc_1", "patch_class"] == "calc_ben"
    assert lesions.loc["P_00007_LEFT_MLO_calc_1", "patch_class"] == "calc_mal"
    assert lesions["split"].value_counts().to_dict() == {"train": 4, "validation": 2, "test": 2}


def test_the_mean_is_that_of_the_training_images(history):
    frame = read_frame(history.store, history.first.id)
    # Images 1 to 8 have means of 1000 to 8000, in [0, 65535].
    assert frame.mean == pytest.approx(4500 * 255 / 65535, abs=1e-6)
    assert frame.rescale_factor == 255 / 65535
    assert frame.facts.splits["train"] == {
        "images": 8,
        "views": 8,
        "patients": 4,
        "malignant": 4,
    }


def test_the_same_features_add_no_file_and_give_the_same_frame(history):
    assert history.again_files == history.first_files and len(history.first_files) == 6
    assert history.again == history.first == history.existing


def test_a_corrected_label_adds_two_files_and_gives_another_frame(history):
    added = set(history.second_files) - set(history.first_files)
    assert sorted(key.split("/")[2] for key in added) == ["image_label", "lesion_label"]
    assert set(history.first_files) < set(history.second_files)
    for key in added:
        rows = pd.read_parquet(history.store.fetch(key))
        assert len(rows) == (2 if "image_label" in key else 1)  # only what changed
    before, after = (
        read_frame(history.store, manifest.id) for manifest in (history.first, history.second)
    )
    changed = before.images["label"] != after.images["label"]
    assert set(before.images.loc[changed, "patient_key"]) == {"P_00000"} and changed.sum() == 2
    assert set(after.lesions["patch_class"]) - set(before.lesions["patch_class"]) == set()
    assert (after.lesions["patch_class"] == "mass_mal").sum() == 3


def test_feast_reads_the_folder_in_the_store(history):
    """Registry and files are where Feast expects them, without a local copy."""
    feast = open_feast(history.store.root / "features" / "main", "mammo")
    assert {view.name for view in feast.list_feature_views()} == {view.name for view in VIEWS}
    ids = history.tables.images[["image_id"]].assign(event_timestamp=pd.Timestamp.now(UTC))
    rows = feast.get_historical_features(
        entity_df=ids, features=["image_label:malignant", "image_metadata:manufacturer"]
    ).to_df()
    labels = dict(zip(rows["image_id"], rows["malignant"], strict=True))
    assert labels == dict(
        zip(
            history.corrected.images["image_id"], history.corrected.images["malignant"], strict=True
        )
    )
    assert set(rows["manufacturer"]) == {"hologic"}


def test_a_join_in_the_past_gives_the_old_frame(history):
    assert history.past.id == history.first.id != history.second.id


def test_a_frame_of_the_past_is_not_the_current_frame(history):
    # The correction invalidates the earlier memo,
    assert history.existing_after is None
    # and publishing the past does not change the memo of the corrected tables.
    assert history.existing_corrected == history.second
    tables, between = history.corrected, history.between
    assert find_frame(history.store, tables, at=between) == history.past
    assert find_frame(history.store, tables, at=between + timedelta(seconds=1)) is None


def test_a_frame_of_the_past_keeps_its_split_after_the_split_changed(tmp_path):
    store, tables = open_store(str(tmp_path)), make_tables()
    first = publish_frame(store, tables)
    between = datetime.now(UTC)
    splits = {id: "train" if split == "test" else split for id, split in tables.splits.items()}
    changed = replace(correct_tables(tables), splits=splits, assignment_id="by-label")
    today = publish_frame(store, changed)
    assert frame_as_of(store, at=between).id == first.id
    assert frame_as_of(store).id == today.id != first.id


def test_a_time_in_the_future_is_refused(file_store):
    with pytest.raises(RecordError, match="a time in the future"):
        publish_frame(file_store, make_tables(), at=datetime.now(UTC) + timedelta(days=1))
    assert list(file_store.list("features")) == []


def test_a_frame_that_was_not_published_does_not_exist(history):
    tables = history.tables
    other = replace(tables, inputs={**tables.inputs, "images": "d2"})
    assert find_frame(history.store, other) is None
    assert find_frame(history.store, replace(tables, shuffle_labels=True)) is None
    other = replace(tables, intensity=IntensityConfig(regime="image_max"))
    assert find_frame(history.store, other) is None
    with pytest.raises(RecordError, match="no frame nothing"):
        read_frame(history.store, "nothing")


def test_the_id_depends_only_on_rows_and_facts(store, history):
    """Another store and another order of rows give the same frame."""
    tables = make_tables()
    reordered = replace(
        tables,
        images=tables.images[::-1].reset_index(drop=True),
        lesions=tables.lesions.sample(frac=1, random_state=1),
        statistics=tables.statistics[::-1],
        splits=dict(reversed(tables.splits.items())),
    )
    manifest = publish_frame(store, reordered)
    assert manifest.id == history.first.id
    for name in ("images.parquet", "lesions.parquet"):
        assert manifest.file(name).sha256 == history.first.file(name).sha256
    assert store.exists("features/main/registry.db")


def test_shuffled_labels_keep_the_fractions_and_have_their_folder(history):
    """The real labels in the same store do not change."""
    tables = replace(
        make_tables(),
        shuffle_labels=True,
        # If all images of a patient were rejected, her lesion is still in the table.
        lesions=pd.concat(
            [
                history.tables.lesions,
                history.tables.lesions[:1].assign(
                    lesion_id="rejected", image_id="gone", patient_key="P_99999"
                ),
            ]
        ),
    )
    real = list_view_files(history.store)
    manifest = publish_frame(history.store, tables)
    assert list_view_files(history.store) == real and tables.folder == "features/shuffled-3"
    assert len(list_view_files(history.store, tables.folder)) == 6
    frame, before = (read_frame(history.store, m.id) for m in (manifest, history.first))
    assert frame.shuffled_labels and not before.shuffled_labels and manifest.id != before.id
    labels = [
        published.images.groupby(["split", "patient_key"])["label"].agg(["min", "max"])
        for published in (frame, before)
    ]
    assert (labels[0]["min"] == labels[0]["max"]).all()  # one label per patient
    malignant_patients = [table.groupby("split")["max"].sum().to_dict() for table in labels]
    assert malignant_patients[0] == malignant_patients[1]
    assert not labels[0].equals(labels[1])
    assert frame.mean == before.mean
    malignant = dict(zip(frame.images["patient_key"], frame.images["label"], strict=True))
    for row in frame.lesions.itertuples():
        assert row.patch_class.endswith("_mal" if malignant[row.patient_key] else "_ben")


def test_images_without_split_and_without_lesions(tmp_path):
    """Images that a given split does not name are left out."""
    tables = make_tables()
    store = open_store(str(tmp_path))
    few = {
        row.image_id: tables.splits[row.image_id]
        for row in tables.images.itertuples()
        if row.view == "CC"
    }
    manifest = publish_frame(store, replace(tables, splits=few, lesions=tables.lesions[:0]))
    images = read_table(store, manifest, "images.parquet")
    assert set(images["image_id"]) == set(few) and manifest.counts["lesions"] == 0
    assert list(read_table(store, manifest, "lesions.parquet")["lesion_id"]) == []


@pytest.mark.parametrize("fault", ["two splits", "unknown image", "empty training", "lesion type"])
def test_tables_without_a_valid_frame_are_refused(tmp_path, fault):
    tables = make_tables()
    if fault == "two splits":
        first = tables.images["image_id"].iloc[0]
        tables = replace(tables, splits={**tables.splits, first: "test"})
        message = "1 patients are in more than one split, the first is P_00000"
    elif fault == "unknown image":
        unknown = tables.statistics[:1].assign(image_id="unknown")
        tables = replace(tables, statistics=pd.concat([tables.statistics, unknown]))
        message = "the first unknown"
    elif fault == "empty training":
        tables = replace(tables, splits=dict.fromkeys(tables.splits, "test"))
        message = "training split is empty"
    else:
        tables = replace(tables, lesions=tables.lesions.assign(lesion_type="scar"))
        message = "a type without a patch class"
    store = open_store(str(tmp_path))
    error_class = SourceError if fault == "two splits" else RecordError
    with pytest.raises(error_class, match=message):
        publish_frame(store, tables)
    assert list(store.list("frames")) == []
