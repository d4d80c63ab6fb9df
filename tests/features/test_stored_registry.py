"""No code comes out of the store: whoever may write there must not run anything here."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from mammo_core.cli import features as commands
from mammo_core.errors import RecordError
from mammo_core.features import (
    MAIN,
    find_frame,
    frame_as_of,
    publish_features,
    publish_frame,
    publish_scores,
)
from mammo_core.features import stored_registry as checked
from mammo_core.features.definitions import IMAGE_LABEL, apply, open_feast
from mammo_core.features.labels import publish_labels
from mammo_core.features.online import apply as bring_online
from mammo_core.features.online import look_up
from mammo_core.features.show import history, summary
from mammo_core.store import open_store

_spec = importlib.util.spec_from_file_location("plants", Path(__file__).with_name("plants.py"))
plants = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(plants)

KEY = f"{MAIN}/registry.db"


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """The registry that Feast makes of our definitions."""
    workspace = tmp_path_factory.mktemp("registry")
    apply(open_feast(workspace, "mammo"))
    return (workspace / "registry.db").read_bytes()


@pytest.fixture(scope="module")
def published(tmp_path_factory, made):
    """A store with features, a frame and an online store."""
    store = open_store(str(tmp_path_factory.mktemp("published")))
    publish_frame(store, made.tables())
    bring_online(store, MAIN)
    return store


def test_our_own_registry_passes(store, registry, published):
    checked.require_no_code(store, MAIN)  # none at all
    store.write(KEY, registry)
    checked.require_no_code(store, MAIN)
    checked.require_no_code(published, MAIN)  # with the times of what was brought online


@pytest.mark.parametrize("name", ["on_demand_pandas", "on_demand_substrait", "stream_view"])
def test_feast_would_run_a_plant(tmp_path, registry, name):
    """The plants are real: this is what a registry out of the bucket would do."""
    marker = tmp_path / "executed"
    (tmp_path / "registry.db").write_bytes(plants.planted(registry, name, marker))
    code = (
        "import sys, pathlib; from mammo_core.features.definitions import open_feast\n"
        "feast = open_feast(pathlib.Path(sys.argv[1]), 'mammo')\n"
        "feast.list_on_demand_feature_views(); feast.list_stream_feature_views()"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, check=False)
    assert marker.exists()


@pytest.mark.parametrize("name", plants.PLANTS)
def test_a_registry_with_code_is_refused(tmp_path, file_store, registry, name):
    marker = tmp_path / "executed"
    file_store.write(KEY, plants.planted(registry, name, marker))
    with pytest.raises(RecordError, match=r"Expected .*without functions") as caught:
        checked.require_no_code(file_store, MAIN)
    assert caught.value.received and caught.value.hint
    assert not marker.exists()


@pytest.mark.parametrize(
    ("name", "received"),
    [
        ("on_demand_python", "on-demand feature views"),
        ("stream_view", "stream feature views"),
        ("batch_view", "a function of a feature view"),
        ("former_version", "a function of a feature view"),
        ("custom_source", "a source of another kind"),
        ("profiler", "validation references"),
    ],
)
def test_what_it_carries_is_named(store, registry, tmp_path, name, received):
    store.write(KEY, plants.planted(registry, name, tmp_path / "executed"))
    with pytest.raises(RecordError, match=received):
        checked.require_no_code(store, MAIN)


@pytest.mark.parametrize(
    "data",
    [
        b"no protobuf at all",
        b"\xff" * 100,
        b"\x0a\xff\xff\xff\xff\x0f",  # an entity longer than the file
        b"\x42\x00",  # an on-demand feature view of no bytes
        b"\x43\x44",  # on-demand feature views as a group
        b"\xfa\x7f\x01x",  # a field that no release of Feast has
        b"\x08\x01",  # entities as a number
    ],
)
def test_bytes_that_are_no_registry_are_refused(file_store, data):
    file_store.write(KEY, data)
    with pytest.raises(RecordError, match="registry"):
        checked.require_no_code(file_store, MAIN)


def test_a_registry_of_a_gigabyte_is_not_read(file_store, registry, monkeypatch):
    file_store.write(KEY, registry)
    monkeypatch.setattr(checked, "_BYTES", len(registry) - 1)
    monkeypatch.setattr(type(file_store), "read", lambda store, key: pytest.fail("was read"))
    with pytest.raises(RecordError, match="bytes"):
        checked.require_no_code(file_store, MAIN)


def test_the_numbers_are_those_of_feast():
    """Each allowed field, followed through Feast's own description of its messages."""
    from feast.protos.feast.core import FeatureView_pb2, Registry_pb2

    bytes_of = {"18.1.5": FeatureView_pb2.FeatureView.DESCRIPTOR}

    def follow(descriptor, allowed, path=""):
        for number, inside in allowed.items():
            field, here = descriptor.fields_by_number[number], f"{path}.{number}".strip(".")
            message = bytes_of.get(here, field.message_type)
            assert (message is not None) == isinstance(inside, dict), here
            if message is not None:
                follow(message, inside, here)

    registry = Registry_pb2.Registry.DESCRIPTOR
    follow(registry, checked.REGISTRY)
    words = {path[0]: name for path, name in checked.NAMES.items() if len(path) == 1}
    for number, name in words.items():
        field = registry.fields_by_number[number].name
        assert field.replace("_", " ") == name.replace("-", " "), field
        assert number not in checked.REGISTRY


def bring_all(store, made, frame_id):
    """Every way into the feature store."""
    tables = made.tables()
    ids = tables.images["image_id"]
    scores = pd.DataFrame({"image_id": ids, "probability": 0.5})
    labels = pd.DataFrame(
        [("image", ids.iloc[0], 1, "")], columns=["kind", "id", "malignant", "pathology"]
    )
    return {
        "publish_features": lambda: publish_features(store, tables),
        "publish_frame": lambda: publish_frame(store, tables),
        "find_frame": lambda: find_frame(store, MAIN, tables.inputs),
        "frame_as_of": lambda: frame_as_of(store, frame_id),
        "publish_scores": lambda: publish_scores(store, scores, folder=MAIN, model_id="m"),
        "publish_labels": lambda: publish_labels(store, labels, MAIN),
        "bring_online": lambda: bring_online(store, MAIN),
        "look_up": lambda: look_up(store, MAIN, IMAGE_LABEL, [{"image_id": ids.iloc[0]}]),
        "summary": lambda: summary(store, MAIN),
        "history": lambda: history(store, MAIN, IMAGE_LABEL),
    }


def contents(store):
    return {key: store.read(key) for key in store.list("") if "lease" not in key}


def test_every_way_into_the_feature_store_refuses_it(tmp_path, published, registry, made):
    marker, good = tmp_path / "executed", published.read(KEY)
    frame_id = json.loads(published.read(next(iter(published.list("frames/memos/")))))["frame"]
    published.write(KEY, plants.planted(registry, "on_demand_pandas", marker))
    try:
        before = contents(published)
        for name, call in bring_all(published, made, frame_id).items():
            with pytest.raises(RecordError, match="on-demand feature views"):
                call()
                pytest.fail(name)
        assert contents(published) == before  # neither rows nor another registry
    finally:
        published.write(KEY, good)
    assert not marker.exists()
    for call in bring_all(published, made, frame_id).values():  # they do work without it
        call()


def test_every_command_refuses_it(tmp_path, published, registry):
    marker, good = tmp_path / "executed", published.read(KEY)
    image = history(published, MAIN, IMAGE_LABEL)["image_id"].iloc[0]
    (tmp_path / "labels.csv").write_text(f"image_id,malignant\n{image},1\n")
    published.write(KEY, plants.planted(registry, "on_demand_pandas", marker))
    try:
        for words in (
            ["apply"],
            ["show"],
            ["show", "--rows", "image_label"],
            ["show", "--rows", "image_label", "--id", image, "--online"],
            ["frame"],
            ["labels", str(tmp_path / "labels.csv")],
        ):
            done = CliRunner().invoke(commands.app, [*words, "--store", published.uri])
            assert isinstance(done.exception, RecordError), (words, done.output)
            assert "on-demand feature views" in str(done.exception)
    finally:
        published.write(KEY, good)
    assert not marker.exists()


@pytest.mark.parametrize("words", [["apply"], ["show"], ["frame"], ["frame", "--frame", "x"]])
def test_a_store_with_nothing_but_a_plant_is_refused(tmp_path, file_store, registry, words):
    marker = tmp_path / "executed"
    file_store.write(KEY, plants.planted(registry, "stream_view", marker))
    done = CliRunner().invoke(commands.app, [*words, "--store", file_store.uri])
    assert isinstance(done.exception, RecordError)
    assert "stream feature views" in str(done.exception) and not marker.exists()


def test_the_registry_in_the_store_is_never_loaded(tmp_path, published, made, monkeypatch):
    """Whatever lies there: even a check that lets everything pass brings no code of it here."""
    marker, good = tmp_path / "executed", published.read(KEY)
    frame_id = json.loads(published.read(next(iter(published.list("frames/memos/")))))["frame"]
    monkeypatch.setattr(checked, "require_no_code", lambda store, folder: None)
    try:
        for call in bring_all(published, made, frame_id).values():
            published.write(KEY, plants.planted(good, "on_demand_pandas", marker))
            call()
    finally:
        published.write(KEY, good)
    assert not marker.exists()
