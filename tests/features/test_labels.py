"""Corrected labels: valid until corrected again, and only for existing images and lesions."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pandas as pd
import pytest
from typer.testing import CliRunner

from mammo_core.cli.features import app
from mammo_core.errors import RecordError, SourceError
from mammo_core.features import MAIN, frame_as_of, publish_frame, read_frame, view_files
from mammo_core.features.definitions import IMAGE_LABEL, LESION_LABEL
from mammo_core.features.labels import (
    label_history,
    publish_labels,
    read_labels,
    standing_corrections,
)
from mammo_core.features.publish import publish_features
from mammo_core.store import open_store
from tests.support.feature_tables import make_tables

BENIGN, MALIGNANT = "P_00000_LEFT_MLO_mass_1", "P_00001_LEFT_MLO_mass_1"


def corrections(*rows):
    return pd.DataFrame(rows, columns=["kind", "id", "malignant", "pathology"])


def labels_of(store, view=IMAGE_LABEL, name="malignant"):
    table = view_files.latest_rows(store, MAIN, view)
    return dict(zip(table[view.keys[0]], table[name], strict=True))


def image_of(tables, lesion):
    return tables.lesions.set_index("lesion_id").loc[lesion, "image_id"]


@pytest.fixture
def published(file_store):
    """Features without a frame: Feast is not opened."""
    publish_features(file_store, make_tables())
    return SimpleNamespace(store=file_store, tables=make_tables())


def test_correcting_a_lesion_changes_the_label_of_its_image(published):
    store, image = published.store, image_of(published.tables, BENIGN)
    written = publish_labels(store, corrections(("lesion", BENIGN, 1, "MALIGNANT")), MAIN)
    assert written == {"image_label": 1, "lesion_label": 1}
    assert labels_of(store)[image] == 1
    assert labels_of(store, LESION_LABEL, "pathology")[BENIGN] == "MALIGNANT"
    assert labels_of(store, IMAGE_LABEL, "label_origin")[image] == "lesions"


def test_repeating_a_correction_writes_nothing(published):
    table = corrections(("lesion", BENIGN, 1, "MALIGNANT"), ("image", "", 1, ""))
    table.loc[1, "id"] = published.tables.images["image_id"].iloc[0]
    assert publish_labels(published.store, table, MAIN) == {"image_label": 2, "lesion_label": 1}
    assert publish_labels(published.store, table, MAIN) == {"image_label": 0, "lesion_label": 0}


def test_a_correction_is_kept_when_tables_are_published_again(published):
    store, tables = published.store, published.tables
    image = image_of(tables, BENIGN)
    publish_labels(store, corrections(("lesion", BENIGN, 1, "MALIGNANT")), MAIN)
    written = publish_features(store, tables)
    assert set(written.values()) == {0}
    # If the tables change something else of the image, the correction is kept,
    types = tables.images.assign(lesion_types="mass+calc")
    publish_features(store, replace(tables, images=types))
    assert labels_of(store)[image] == 1
    assert labels_of(store, IMAGE_LABEL, "lesion_types")[image] == "mass+calc"
    # and another malignant lesion in the tables makes the image malignant again.
    publish_labels(store, corrections(("lesion", BENIGN, 0, "BENIGN")), MAIN)
    assert labels_of(store)[image] == 0
    second = tables.lesions[tables.lesions["lesion_id"] == BENIGN].assign(
        lesion_id="second", malignant=1, pathology="MALIGNANT"
    )
    publish_features(store, replace(tables, lesions=pd.concat([tables.lesions, second])))
    assert labels_of(store)[image] == 1
    assert labels_of(store, LESION_LABEL, "pathology")[BENIGN] == "BENIGN"


@pytest.mark.parametrize("kind", ["image", "lesion"])
def test_an_unknown_id_is_named_and_nothing_is_published(published, kind):
    before = list(published.store.list(MAIN))
    table = corrections((kind, "nobody", 1, "MALIGNANT"), ("lesion", BENIGN, 1, "MALIGNANT"))
    with pytest.raises(RecordError, match=f"unknown {kind}: nobody"):
        publish_labels(published.store, table, MAIN)
    assert list(published.store.list(MAIN)) == before


def test_a_label_for_a_store_without_features_is_refused(file_store):
    with pytest.raises(RecordError, match=r"unknown image: a.*0 images"):
        publish_labels(file_store, corrections(("image", "a", 1, "")), MAIN)


def test_an_image_with_a_malignant_lesion_cannot_be_benign(published):
    image = image_of(published.tables, MALIGNANT)
    with pytest.raises(RecordError, match=f"{image} cannot be benign"):
        publish_labels(published.store, corrections(("image", image, 0, "")), MAIN)
    both = corrections(("image", image, 0, ""), ("lesion", MALIGNANT, 0, "BENIGN"))
    publish_labels(published.store, both, MAIN)
    assert labels_of(published.store)[image] == 0


def test_a_correction_changes_the_current_frame_but_not_past_frames(tmp_path):
    store, tables = open_store(str(tmp_path)), make_tables()
    first = publish_frame(store, tables)
    between = datetime.now(UTC)
    image = image_of(tables, BENIGN)
    publish_labels(store, corrections(("lesion", BENIGN, 1, "MALIGNANT")), MAIN)
    today = frame_as_of(store)
    assert frame_as_of(store, at=between).id == first.id != today.id
    frame = read_frame(store, today.id)
    assert frame.image_labels("train")[image] == 1
    assert frame.lesions.set_index("lesion_id").loc[BENIGN, "patch_class"] == "mass_mal"
    assert frame.mean == read_frame(store, first.id).mean
    # The next run of the pipeline uses the correction, too.
    assert publish_frame(store, tables).id == today.id


def test_a_corrected_image_stands_until_it_is_corrected_again(published):
    store, image = published.store, image_of(published.tables, BENIGN)
    publish_labels(store, corrections(("image", image, 1, "")), MAIN)
    # Its lesion is corrected, twice; the image was corrected by hand.
    for value, pathology in ((1, "MALIGNANT"), (0, "BENIGN")):
        table = corrections(("lesion", BENIGN, value, pathology))
        assert standing_corrections(store, table, MAIN) == 1
        assert publish_labels(store, table, MAIN)["lesion_label"] == 1
        publish_features(store, published.tables)
        assert labels_of(store)[image] == 1
        assert labels_of(store, IMAGE_LABEL, "label_origin")[image] == "correction"
    publish_labels(store, corrections(("image", image, 0, "")), MAIN)
    assert labels_of(store)[image] == 0
    publish_features(store, published.tables)
    assert labels_of(store)[image] == 0


def test_a_correction_that_an_earlier_release_overwrote_stands_again(published):
    store, image = published.store, image_of(published.tables, BENIGN)
    publish_labels(store, corrections(("image", image, 1, "")), MAIN)
    rows = view_files.latest_rows(store, MAIN, IMAGE_LABEL)
    rows = rows[rows["image_id"] == image].assign(malignant=0, label_origin="lesions")
    view_files.append_rows(store, MAIN, IMAGE_LABEL, rows, datetime.now(UTC))
    assert labels_of(store)[image] == 0
    publish_features(store, published.tables)
    assert labels_of(store)[image] == 1


def test_an_image_that_comes_after_the_correction_of_its_lesion_follows_it(file_store):
    tables = make_tables()
    image = image_of(tables, MALIGNANT)
    without = replace(tables, images=tables.images[tables.images["image_id"] != image])
    publish_features(file_store, without)
    publish_labels(file_store, corrections(("lesion", MALIGNANT, 0, "BENIGN")), MAIN)
    publish_features(file_store, tables)
    assert labels_of(file_store)[image] == 0
    assert labels_of(file_store, IMAGE_LABEL, "label_origin")[image] == "lesions"


def test_the_history_of_an_image_has_every_label_and_those_of_its_lesions(published):
    store, image = published.store, image_of(published.tables, BENIGN)
    publish_labels(store, corrections(("lesion", BENIGN, 1, "MALIGNANT")), MAIN)
    publish_labels(store, corrections(("image", image, 1, "")), MAIN)
    rows = label_history(store, MAIN, image)
    assert [tuple(row) for row in rows.drop(columns=["time", "id"]).to_numpy()] == [
        ("image", 0, "", "source"),
        ("lesion", 0, "BENIGN", "source"),
        ("image", 1, "", "lesions"),
        ("lesion", 1, "MALIGNANT", "correction"),
        ("image", 1, "", "correction"),
    ]
    assert rows["time"].is_monotonic_increasing
    assert set(label_history(store, MAIN, BENIGN)["id"]) == {BENIGN}
    shown = CliRunner().invoke(app, ["history", image, "--store", store.uri])
    assert shown.exit_code == 0 and shown.output.count("correction") == 2
    shown = CliRunner().invoke(app, ["history", image, "--store", store.uri, "--json"])
    assert json.loads(shown.output)[-1]["origin"] == "correction"
    with pytest.raises(RecordError, match="no label of nobody"):
        label_history(store, MAIN, "nobody")


def csv(tmp_path, text):
    path = tmp_path / "labels.csv"
    path.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
    return path


def test_a_file_may_contain_labels_of_images_and_lesions(tmp_path):
    path = csv(
        tmp_path,
        "\ufefflesion_id, image_id ,pathology,malignant,note\n"
        "l1,,benign_without_callback,,seen again\nl2,i9,MALIGNANT,1,\n,i1,,0,\n,i1,,0,twice\n",
    )
    assert read_labels(path).to_dict("records") == [
        {"kind": "lesion", "id": "l1", "malignant": 0, "pathology": "BENIGN_WITHOUT_CALLBACK"},
        {"kind": "lesion", "id": "l2", "malignant": 1, "pathology": "MALIGNANT"},
        {"kind": "image", "id": "i1", "malignant": 0, "pathology": ""},
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image_id,malignant\na,1\nb,yes\n", r"Line 3 of .*'yes'"),
        ("image_id,malignant\n,1\n", "Line 2 .*image_id or a lesion_id"),
        ("lesion_id,pathology\na,CANCER\n", "Line 2 .*'CANCER'"),
        ("lesion_id,pathology,malignant\na,BENIGN,1\n", "malignant 0 for the pathology BENIGN"),
        ("image_id,malignant\na,1\na,0\n", "Line 3 .*several for a"),
        ("image_id,label\na,1\n", "lacks columns"),
        ("image_id,malignant\n", "is empty"),
        ("", "cannot be read"),
        (b"image_id,malignant\n\xff\xfe,1\n", "cannot be read"),
    ],
)
def test_an_invalid_label_file_is_refused(tmp_path, text, message):
    with pytest.raises(SourceError, match=message):
        read_labels(csv(tmp_path, text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"nothing\.csv cannot be read.*No such file"):
        read_labels(tmp_path / "nothing.csv")
