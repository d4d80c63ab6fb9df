"""`mammo features`, on stores with and without features."""

import json
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from mammo_core.cli.features import _time, app
from mammo_core.errors import RecipeError, RecordError, StoreError
from mammo_core.features import publish_frame
from mammo_core.store import open_store
from tests.support.feature_tables import make_tables

LESION = "P_00000_LEFT_MLO_mass_1"


def call(*arguments):
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    store_uri = tmp_path_factory.mktemp("features-cli").as_uri()
    publish_frame(open_store(store_uri), make_tables())
    return store_uri


def test_show_prints_keys_rows_and_the_newest_event(uri):
    document = json.loads(call("show", "--store", uri, "--json"))
    views = {view["name"]: view for view in document["views"]}
    assert list(views) == [
        "image_metadata",
        "intensity_statistics",
        "lesion_annotation",
        "image_label",
        "lesion_label",
        "split_assignment",
        "record_location",
        "model_scores",
    ]
    assert views["image_label"]["keys"] == 16 and views["lesion_label"]["keys"] == 8
    assert views["model_scores"] == {
        "name": "model_scores",
        "entities": ["image_id", "model_id"],
        "features": ["malignant_probability", "evaluation_id"],
        "keys": 0,
        "rows": 0,
        "files": 0,
        "oldest_event": None,
        "newest_event": None,
    }
    assert datetime.fromisoformat(views["image_label"]["newest_event"]) <= datetime.now(UTC)
    lines = call("show", "--store", uri).splitlines()
    assert len(lines) == 9 and lines[4].split()[:4] == ["image_label", "image_id", "16", "16"]


def test_a_corrected_label_is_online_and_in_the_next_frame(uri, tmp_path):
    first = json.loads(call("frame", "--store", uri, "--json"))
    before = datetime.now(UTC).isoformat()
    file = tmp_path / "labels.csv"
    file.write_text(f"lesion_id,pathology\n{LESION},MALIGNANT\n")
    assert "1 corrections: 1 lesion labels and 1 image labels" in call(
        "labels", str(file), "--store", uri
    )
    assert "already published" in call("labels", str(file), "--store", uri)
    rows = json.loads(
        call("show", "--store", uri, "--rows", "lesion_label", "--id", LESION, "--json")
    )
    assert [row["pathology"] for row in rows] == ["BENIGN", "MALIGNANT"]
    today = json.loads(call("frame", "--store", uri, "--json"))
    assert today["splits"]["train"]["malignant"] == first["splits"]["train"]["malignant"] + 1
    past = json.loads(call("frame", "--store", uri, "--as-of", before, "--json"))
    assert past["id"] == first["id"] != today["id"]
    assert today["id"] in call("frame", "--store", uri, "--frame", first["id"])
    assert "online store: sqlite" in call("apply", "--store", uri)
    online = json.loads(
        call("show", "--store", uri, "--rows", "lesion_label", "--id", LESION, "--online", "--json")
    )
    assert [row["pathology"] for row in online] == ["MALIGNANT"]


def test_errors_name_their_object(uri, tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text("image_id,malignant\nnobody,1\n")
    for arguments, message in [
        (["labels", str(file), "--store", uri], "unknown image: nobody"),
        (["frame", "--store", uri, "--frame", "none"], "no frame none in"),
        (["frame", "--store", uri, "--as-of", "2999-01-01"], "time in the future"),
        (
            ["frame", "--store", uri, "--as-of", "2000-01-01"],
            "no frame in .* at that time",
        ),
        (["frame", "--store", tmp_path.as_uri()], "No frame was published"),
        (["show", "--store", uri, "--rows", "labels"], "no feature view labels"),
        (["show", "--store", uri, "--rows", "image_label", "--id", "x"], "no image_id x"),
    ]:
        with pytest.raises(RecordError, match=message):
            call(*arguments)
    first = json.loads(call("frame", "--store", uri, "--json"))["id"]
    with pytest.raises(RecordError, match="image_metadata of 16 of 16"):
        call("frame", "--store", uri, "--frame", first, "--as-of", "2000-01-01")
    for arguments in (["frame", "--as-of", "yesterday"], ["show", "--id", "x"]):
        with pytest.raises(RecipeError):
            call(*arguments, "--store", uri)


@pytest.mark.parametrize("command", ["apply", "show", "frame", "labels"])
def test_a_store_that_does_not_exist_is_an_error(tmp_path, command):
    file = tmp_path / "labels.csv"
    file.write_text("image_id,malignant\na,1\n")
    more = [str(file)] if command == "labels" else []
    with pytest.raises(StoreError, match=r"There is no store at .*absent"):
        call(command, *more, "--store", (tmp_path / "absent").as_uri())
    assert not (tmp_path / "absent").exists()


def test_show_prints_that_there_are_no_features(tmp_path):
    document = json.loads(call("show", "--store", tmp_path.as_uri(), "--json"))
    assert {view["rows"] for view in document["views"]} == {0}
    assert "No features are published" in call("show", "--store", tmp_path.as_uri())


def test_a_date_means_the_end_of_that_day():
    assert _time("2026-11-20") == datetime(2026, 11, 20, 23, 59, 59, 999999, UTC)
    assert _time("2026-11-20T10:00") == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert _time("2026-11-20T10:00:00+02:00") == datetime(2026, 11, 20, 8, tzinfo=UTC)
    assert _time(datetime.now(UTC).date().isoformat()) <= datetime.now(UTC)
