"""Code in the store is never executed: write access to a bucket must not run code here."""

import json
import subprocess
import sys

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
    stored_registry,
)
from mammo_core.features.definitions import IMAGE_LABEL, apply, open_feast
from mammo_core.features.labels import publish_labels
from mammo_core.features.online import apply as apply_online
from mammo_core.features.online import look_up
from mammo_core.features.show import read_history, summarize_views
from mammo_core.store import open_store
from tests.support.feature_tables import make_tables
from tests.support.malicious_registries import ADDITIONS, malicious_registry

KEY = f"{MAIN}/registry.db"


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """The registry of our definitions, written by Feast."""
    workspace = tmp_path_factory.mktemp("registry")
    apply(open_feast(workspace, "mammo"))
    return (workspace / "registry.db").read_bytes()


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A store with features, a frame and an online store."""
    store = open_store(str(tmp_path_factory.mktemp("published")))
    publish_frame(store, make_tables())
    apply_online(store, MAIN)
    return store


def test_a_registry_of_our_definitions_is_accepted(store, registry, published):
    stored_registry.require_no_code(store, MAIN)  # no registry
    store.write(KEY, registry)
    stored_registry.require_no_code(store, MAIN)
    stored_registry.require_no_code(published, MAIN)  # with times of materialization


@pytest.mark.parametrize("name", ["on_demand_pandas", "on_demand_substrait", "stream_view"])
def test_feast_executes_malicious_registries(tmp_path, registry, name):
    """The test data is real: Feast runs this code when it opens the registry."""
    marker = tmp_path / "executed"
    (tmp_path / "registry.db").write_bytes(malicious_registry(registry, name, marker))
    code = (
        "import sys, pathlib; from mammo_core.features.definitions import open_feast\n"
        "feast = open_feast(pathlib.Path(sys.argv[1]), 'mammo')\n"
        "feast.list_on_demand_feature_views(); feast.list_stream_feature_views()"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, check=False)
    assert marker.exists()


@pytest.mark.parametrize("name", ADDITIONS)
def test_a_registry_with_code_is_refused(tmp_path, file_store, registry, name):
    marker = tmp_path / "executed"
    file_store.write(KEY, malicious_registry(registry, name, marker))
    with pytest.raises(RecordError, match=r"Expected .*without functions") as caught:
        stored_registry.require_no_code(file_store, MAIN)
    assert caught.value.received and caught.value.hint
    assert not marker.exists()


@pytest.mark.parametrize(
    ("name", "received"),
    [
        ("on_demand_python", "on-demand feature views"),
        ("stream_view", "stream feature views"),
        ("batch_view", "a function of a feature view"),
        ("earlier_version", "a function of a feature view"),
        ("custom_source", "a source of another kind"),
        ("profiler", "validation references"),
    ],
)
def test_the_error_names_the_forbidden_content(store, registry, tmp_path, name, received):
    store.write(KEY, malicious_registry(registry, name, tmp_path / "executed"))
    with pytest.raises(RecordError, match=received):
        stored_registry.require_no_code(store, MAIN)


@pytest.mark.parametrize(
    "data",
    [
        b"not protobuf",
        b"\xff" * 100,
        b"\x0a\xff\xff\xff\xff\x0f",  # an entity longer than the file
        b"\x42\x00",  # an on-demand feature view of no bytes
        b"\x43\x44",  # on-demand feature views as a group
        b"\xfa\x7f\x01x",  # a field that no version of Feast has
        b"\x08\x01",  # entities as a number
    ],
)
def test_bytes_that_are_not_a_registry_are_refused(file_store, data):
    file_store.write(KEY, data)
    with pytest.raises(RecordError, match="registry"):
        stored_registry.require_no_code(file_store, MAIN)


def test_a_registry_that_is_too_large_is_not_read(file_store, registry, monkeypatch):
    file_store.write(KEY, registry)
    monkeypatch.setattr(stored_registry, "_BYTES", len(registry) - 1)
    monkeypatch.setattr(type(file_store), "read", lambda store, key: pytest.fail("was read"))
    with pytest.raises(RecordError, match="bytes"):
        stored_registry.require_no_code(file_store, MAIN)


def test_the_field_numbers_equal_those_of_feast():
    """Look up each allowed field in Feast's message descriptors."""
    from feast.protos.feast.core import FeatureView_pb2, Registry_pb2

    serialized = {"18.1.5": FeatureView_pb2.FeatureView.DESCRIPTOR}

    def follow(descriptor, allowed, path=""):
        for number, content in allowed.items():
            field = descriptor.fields_by_number[number]
            field_path = f"{path}.{number}".strip(".")
            message = serialized.get(field_path, field.message_type)
            assert (message is not None) == isinstance(content, dict), field_path
            if message is not None:
                follow(message, content, field_path)

    registry = Registry_pb2.Registry.DESCRIPTOR
    follow(registry, stored_registry.REGISTRY)
    names = {path[0]: name for path, name in stored_registry.NAMES.items() if len(path) == 1}
    for number, name in names.items():
        field = registry.fields_by_number[number].name
        assert field.replace("_", " ") == name.replace("-", " "), field
        assert number not in stored_registry.REGISTRY


def calls(store, frame_id):
    """Return a call of each public function that opens the feature store."""
    tables = make_tables()
    ids = tables.images["image_id"]
    scores = pd.DataFrame({"image_id": ids, "probability": 0.5})
    labels = pd.DataFrame(
        [("image", ids.iloc[0], 1, "")], columns=["kind", "id", "malignant", "pathology"]
    )
    return {
        "publish_features": lambda: publish_features(store, tables),
        "publish_frame": lambda: publish_frame(store, tables),
        "find_frame": lambda: find_frame(store, tables),
        "frame_as_of": lambda: frame_as_of(store, frame_id),
        "publish_scores": lambda: publish_scores(store, scores, folder=MAIN, model_id="m"),
        "publish_labels": lambda: publish_labels(store, labels, MAIN),
        "apply_online": lambda: apply_online(store, MAIN),
        "look_up": lambda: look_up(store, MAIN, IMAGE_LABEL, [{"image_id": ids.iloc[0]}]),
        "summarize_views": lambda: summarize_views(store, MAIN),
        "read_history": lambda: read_history(store, MAIN, IMAGE_LABEL),
    }


def contents(store):
    return {key: store.read(key) for key in store.list("") if "lease" not in key}


def test_every_function_refuses_it(tmp_path, published, registry):
    marker, good = tmp_path / "executed", published.read(KEY)
    frame_id = json.loads(published.read(next(iter(published.list("frames/memos/")))))["frame"]
    published.write(KEY, malicious_registry(registry, "on_demand_pandas", marker))
    try:
        before = contents(published)
        for name, call in calls(published, frame_id).items():
            with pytest.raises(RecordError, match="on-demand feature views"):
                call()
                pytest.fail(name)
        assert contents(published) == before  # no rows, no other registry
    finally:
        published.write(KEY, good)
    assert not marker.exists()
    for call in calls(published, frame_id).values():  # they work without it
        call()


def test_every_command_refuses_it(tmp_path, published, registry):
    marker, good = tmp_path / "executed", published.read(KEY)
    image = read_history(published, MAIN, IMAGE_LABEL)["image_id"].iloc[0]
    (tmp_path / "labels.csv").write_text(f"image_id,malignant\n{image},1\n")
    published.write(KEY, malicious_registry(registry, "on_demand_pandas", marker))
    try:
        for words in (
            ["apply"],
            ["show"],
            ["show", "--rows", "image_label"],
            ["show", "--rows", "image_label", "--id", image, "--online"],
            ["frame"],
            ["labels", str(tmp_path / "labels.csv")],
        ):
            result = CliRunner().invoke(commands.app, [*words, "--store", published.uri])
            assert isinstance(result.exception, RecordError), (words, result.output)
            assert "on-demand feature views" in str(result.exception)
    finally:
        published.write(KEY, good)
    assert not marker.exists()


@pytest.mark.parametrize("words", [["apply"], ["show"], ["frame"], ["frame", "--frame", "x"]])
def test_a_store_with_only_a_malicious_registry_is_refused(tmp_path, file_store, registry, words):
    marker = tmp_path / "executed"
    file_store.write(KEY, malicious_registry(registry, "stream_view", marker))
    result = CliRunner().invoke(commands.app, [*words, "--store", file_store.uri])
    assert isinstance(result.exception, RecordError)
    assert "stream feature views" in str(result.exception) and not marker.exists()


def test_the_registry_in_the_store_is_never_loaded(tmp_path, published, monkeypatch):
    """Even without the check, no code of a stored registry is executed."""
    marker, good = tmp_path / "executed", published.read(KEY)
    frame_id = json.loads(published.read(next(iter(published.list("frames/memos/")))))["frame"]
    monkeypatch.setattr(stored_registry, "require_no_code", lambda store, folder: None)
    try:
        for call in calls(published, frame_id).values():
            published.write(KEY, malicious_registry(good, "on_demand_pandas", marker))
            call()
    finally:
        published.write(KEY, good)
    assert not marker.exists()
