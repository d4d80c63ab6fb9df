"""Publishing features and the frames that come of them. Each publication opens Feast once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pandas as pd
import pytest

from mammo_core.datasets.tables import read_table
from mammo_core.errors import RecordError
from mammo_core.features import find_frame, frame_as_of, publish_frame, read_frame
from mammo_core.features.definitions import VIEWS, open_feast
from mammo_core.store import open_store


def parts(store, folder="features/main"):
    return [key for key in store.list(folder) if key.endswith(".parquet")]


@pytest.fixture(scope="module")
def history(tmp_path_factory, made):
    """Published, published again, corrected, looked at in the past, and taken back."""
    store = open_store(str(tmp_path_factory.mktemp("features")))
    tables = made.tables()
    told = SimpleNamespace(store=store, tables=tables, corrected=made.corrected(tables))
    told.first = publish_frame(store, tables)
    told.first_parts = parts(store)
    told.between = datetime.now(UTC)
    told.again = publish_frame(store, tables)
    told.again_parts = parts(store)
    told.found = find_frame(store, tables.folder, tables.inputs)
    told.second = publish_frame(store, told.corrected)
    told.second_parts = parts(store)
    told.found_after = find_frame(store, tables.folder, tables.inputs)
    told.past = publish_frame(store, told.corrected, at=told.between)
    told.found_corrected = find_frame(store, tables.folder, told.corrected.inputs)
    return told


def test_the_list_of_patients_goes_with_the_frame(history):
    listed = read_table(history.store, history.first, "splits.parquet")
    pd.testing.assert_frame_equal(listed, history.tables.patients)


def test_a_frame_holds_the_images_with_label_and_split(history):
    frame, images = read_frame(history.store, history.first.id), history.tables.images
    assert list(frame.images["image_id"]) == sorted(images["image_id"])
    known = images.set_index("image_id")
    for row in frame.images.itertuples():
        told = known.loc[row.image_id]
        assert row.label == told["malignant"] and row.split == history.tables.splits[row.image_id]
        assert (row.view_id, row.patient_key, row.breast_density) == (
            told["view_id"],
            told["patient_key"],
            told["breast_density"],
        )
    assert [len(frame.split(name)) for name in ("train", "validation", "test")] == [8, 4, 4]
    for column in ("label", "breast_density", "bits_stored"):
        assert frame.images[column].dtype == "int64"  # Feast gives floats back


def test_a_frame_holds_the_lesions_with_class_and_split(history):
    lesions = read_frame(history.store, history.first.id).lesions.set_index("lesion_id")
    assert lesions.loc["P_00000_LEFT_MLO_mass_1", "patch_class"] == "mass_ben"
    assert lesions.loc["P_00003_LEFT_MLO_mass_1", "patch_class"] == "mass_mal"
    assert lesions.loc["P_00004_LEFT_MLO_calc_1", "patch_class"] == "calc_ben"
    assert lesions.loc["P_00007_LEFT_MLO_calc_1", "patch_class"] == "calc_mal"
    assert lesions["split"].value_counts().to_dict() == {"train": 4, "validation": 2, "test": 2}


def test_the_mean_is_of_the_training_images_alone(history):
    frame = read_frame(history.store, history.first.id)
    # Images 1 to 8 have means of 1000 to 8000, of 65535.
    assert frame.mean == pytest.approx(4500 * 255 / 65535, abs=1e-6)
    assert frame.rescale_factor == 255 / 65535
    assert frame.facts["splits"]["train"] == {
        "images": 8,
        "views": 8,
        "patients": 4,
        "malignant": 4,
    }


def test_the_same_features_again_add_no_part_and_give_the_same_frame(history):
    assert history.again_parts == history.first_parts and len(history.first_parts) == 6
    assert history.again == history.first == history.found


def test_a_corrected_label_is_two_new_parts_and_another_frame(history):
    added = set(history.second_parts) - set(history.first_parts)
    assert sorted(key.split("/")[2] for key in added) == ["image_label", "lesion_label"]
    assert set(history.first_parts) < set(history.second_parts)
    for key in added:
        rows = pd.read_parquet(history.store.fetch(key))
        assert len(rows) == (2 if "image_label" in key else 1)  # what changed, nothing else
    before, after = (
        read_frame(history.store, manifest.id) for manifest in (history.first, history.second)
    )
    changed = before.images["label"] != after.images["label"]
    assert set(before.images.loc[changed, "patient_key"]) == {"P_00000"} and changed.sum() == 2
    assert set(after.lesions["patch_class"]) - set(before.lesions["patch_class"]) == set()
    assert (after.lesions["patch_class"] == "mass_mal").sum() == 3


def test_feast_alone_reads_the_folder_as_it_lies_in_the_store(history):
    """Registry and offline store in one place: no mirror, no code of ours but the names."""
    feast = open_feast(history.store.root / "features" / "main", "mammo")
    assert {view.name for view in feast.list_feature_views()} == {view.name for view in VIEWS}
    ids = history.tables.images[["image_id"]].assign(event_timestamp=pd.Timestamp.now(UTC))
    told = feast.get_historical_features(
        entity_df=ids, features=["image_label:malignant", "image_metadata:manufacturer"]
    ).to_df()
    labels = dict(zip(told["image_id"], told["malignant"], strict=True))
    assert labels == dict(
        zip(
            history.corrected.images["image_id"], history.corrected.images["malignant"], strict=True
        )
    )
    assert set(told["manufacturer"]) == {"hologic"}


def test_a_join_in_the_past_gives_the_old_frame(history):
    assert history.past.id == history.first.id != history.second.id


def test_a_frame_of_the_past_is_never_taken_for_todays(history):
    # After the correction, what was memorised before it answers no more,
    assert history.found_after is None
    # and the look into the past left the corrected tables' own answer alone.
    assert history.found_corrected == history.second
    asked = (history.tables.folder, history.corrected.inputs)
    assert find_frame(history.store, *asked, at=history.between) == history.past
    assert find_frame(history.store, *asked, at=history.between + timedelta(seconds=1)) is None


def test_last_weeks_frame_is_that_frame_though_images_are_divided_otherwise_today(tmp_path, made):
    store, tables = open_store(str(tmp_path)), made.tables()
    first = publish_frame(store, tables)
    between = datetime.now(UTC)
    splits = {id: "train" if split == "test" else split for id, split in tables.splits.items()}
    changed = replace(made.corrected(tables), splits=splits, assignment_id="by-label")
    today = publish_frame(store, changed)
    assert frame_as_of(store, at=between).id == first.id
    assert frame_as_of(store).id == today.id != first.id


def test_a_time_to_come_is_refused(file_store, made):
    with pytest.raises(RecordError, match="a time to come"):
        publish_frame(file_store, made.tables(), at=datetime.now(UTC) + timedelta(days=1))
    assert list(file_store.list("features")) == []


def test_what_was_never_published_is_not_found(history):
    other = {**history.tables.inputs, "images": "d2"}
    assert find_frame(history.store, "features/main", other) is None
    assert find_frame(history.store, "features/shuffled-3", history.tables.inputs) is None
    with pytest.raises(RecordError, match="no frame nothing"):
        read_frame(history.store, "nothing")


def test_the_id_depends_on_rows_alone(store, made, history):
    """Another store (of either kind), another order, the same frame."""
    tables = made.tables()
    turned = replace(
        tables,
        images=tables.images[::-1].reset_index(drop=True),
        lesions=tables.lesions.sample(frac=1, random_state=1),
        statistics=tables.statistics[::-1],
        splits=dict(reversed(tables.splits.items())),
    )
    manifest = publish_frame(store, turned)
    assert manifest.id == history.first.id
    for name in ("images.parquet", "lesions.parquet"):
        assert manifest.file(name).sha256 == history.first.file(name).sha256
    assert store.exists("features/main/registry.db")


def test_shuffled_labels_keep_the_shares_and_their_own_folder(history, made):
    """In the store of the real labels, which they leave as they are."""
    tables = replace(
        made.tables(),
        shuffle_labels=True,
        # A patient all of whose images were rejected still has a row of lesions.
        lesions=pd.concat(
            [
                history.tables.lesions,
                history.tables.lesions[:1].assign(
                    lesion_id="rejected", image_id="gone", patient_key="P_99999"
                ),
            ]
        ),
    )
    real = parts(history.store)
    manifest = publish_frame(history.store, tables)
    assert parts(history.store) == real and tables.folder == "features/shuffled-3"
    assert len(parts(history.store, tables.folder)) == 6
    frame, before = (read_frame(history.store, m.id) for m in (manifest, history.first))
    assert frame.shuffled_labels and not before.shuffled_labels and manifest.id != before.id
    labels = [
        found.images.groupby(["split", "patient_key"])["label"].agg(["min", "max"])
        for found in (frame, before)
    ]
    assert (labels[0]["min"] == labels[0]["max"]).all()  # of one patient, one label
    shares = [table.groupby("split")["max"].sum().to_dict() for table in labels]
    assert shares[0] == shares[1]
    assert not labels[0].equals(labels[1])
    assert frame.mean == before.mean
    malignant = dict(zip(frame.images["patient_key"], frame.images["label"], strict=True))
    for row in frame.lesions.itertuples():
        assert row.patch_class.endswith("_mal" if malignant[row.patient_key] else "_ben")


def test_images_without_split_and_without_lesions(tmp_path, made):
    """A split given image by image leaves out what it does not name."""
    tables = made.tables()
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
def test_what_makes_no_frame_is_refused(tmp_path, made, fault):
    tables = made.tables()
    if fault == "two splits":
        first = tables.images["image_id"].iloc[0]
        tables = replace(tables, splits={**tables.splits, first: "test"})
        told = "1 patients are in more than one split, the first is P_00000"
    elif fault == "unknown image":
        unknown = tables.statistics[:1].assign(image_id="unknown")
        tables = replace(tables, statistics=pd.concat([tables.statistics, unknown]))
        told = "the first unknown"
    elif fault == "empty training":
        tables = replace(tables, splits=dict.fromkeys(tables.splits, "test"))
        told = "training split is empty"
    else:
        tables = replace(tables, lesions=tables.lesions.assign(lesion_type="scar"))
        told = "no patch class stands for"
    store = open_store(str(tmp_path))
    with pytest.raises(RecordError, match=told):
        publish_frame(store, tables)
    assert list(store.list("frames")) == []
