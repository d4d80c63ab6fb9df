"""Loaders refuse files that contain code, and execute none of it."""

import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mammo_core.datasets.tables import from_parquet
from mammo_core.errors import DicomError, MammoError, ModelError, RecipeError


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self._marker}",)


@pytest.fixture
def marker(tmp_path):
    """The file that a hostile input would create; it must not exist after the test."""
    path = tmp_path / "executed"
    yield path
    assert not path.exists()


def test_unpickling_executes_the_payload(tmp_path):
    pickle.loads(pickle.dumps(Payload(tmp_path / "executed")))
    assert (tmp_path / "executed").exists()


def pickled_arrays(path: Path, marker: Path, *names: str) -> Path:
    """Write an .npz file whose arrays are pickled objects."""
    array = np.empty(1, dtype=object)
    array[0] = Payload(marker)
    np.savez(path, **dict.fromkeys(names, array))
    return path


def test_a_forest_with_pickles_is_refused(tmp_path, marker):
    from mammo_core.evaluation.second_stage.forest import RegionForest

    names = ("names", "left", "right", "feature", "threshold", "value", "roots", "means")
    data = pickled_arrays(tmp_path / "forest.npz", marker, *names).read_bytes()
    with pytest.raises(ModelError):
        RegionForest.from_bytes(data)


def test_expected_outputs_with_pickles_are_refused(tmp_path, marker):
    from mammo_core.packaging.contents import EXPECTED
    from mammo_core.packaging.self_check import read_expected

    pickled_arrays(tmp_path / EXPECTED, marker, "pixels", "probabilities")
    with pytest.raises(ModelError, match="allow_pickle=False"):
        read_expected(tmp_path)


def test_a_checkpoint_with_pickles_is_refused(tmp_path, file_store, marker):
    from mammo_core.store.file import file_sha256
    from mammo_core.training.checkpoint import Checkpoints

    path = pickled_arrays(tmp_path / "arrays.npz", marker, "model-0")
    file_store.write("runs/r/arrays.npz", path.read_bytes())
    entry = {"key": "runs/r/arrays.npz", "sha256": file_sha256(path)}
    with pytest.raises(ValueError, match="allow_pickle=False"):
        Checkpoints(file_store, "runs/r")._read_arrays(entry)


KERAS = {
    "a lambda": {
        "module": "keras.layers",
        "class_name": "Lambda",
        "config": {"function": {"class_name": "__lambda__", "config": {"code": "4wEAAAA="}}},
    },
    "a foreign class": {"module": "os", "class_name": "system", "config": {}},
    "a nested foreign class": {
        "module": "keras.layers",
        "class_name": "Activation",
        "config": {"activation": {"module": "os", "class_name": "function", "config": "system"}},
    },
    "eval": {"module": "builtins", "class_name": "eval", "config": {"source": "MARK"}},
    "exec as a function": {
        "module": "keras.layers",
        "class_name": "Activation",
        "config": {
            "activation": {
                "module": "builtins",
                "class_name": "function",
                "config": "exec",
                "registered_name": "exec",
            }
        },
    },
    "a function of Keras": {
        "module": "keras.utils",
        "class_name": "get_file",
        "config": {"fname": "MARK", "origin": "file:///etc/hostname"},
    },
    "a SavedModel": {
        "module": "keras.layers",
        "class_name": "TFSMLayer",
        "config": {"filepath": "MARK", "call_endpoint": "serve"},
    },
    "a Torch module": {
        "module": "keras.layers",
        "class_name": "TorchModuleWrapper",
        "config": {"module": "MARK"},
    },
    "one of our functions": {
        "module": "mammo_core.packaging.source_commit",
        "class_name": "git_sha",
        "config": {},
    },
}


@pytest.mark.parametrize("kind", KERAS)
def test_a_keras_archive_with_code_is_refused(tmp_path, marker, kind):
    import keras

    from mammo_core.models import load_model

    harmless, path = tmp_path / "harmless.keras", tmp_path / "hostile.keras"
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(harmless)
    with zipfile.ZipFile(harmless) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name == "config.json":
                config = json.loads(data)
                layer = json.dumps(KERAS[kind]).replace("MARK", str(marker))
                config["config"]["layers"][1] = json.loads(layer)
                data = json.dumps(config).encode()
            target.writestr(name, data)
    with pytest.raises(ModelError, match=r"Cannot read the model hostile\.keras") as caught:
        load_model(path)
    assert "No such file" not in str(caught.value)  # Keras did not try to load it


def test_hdf5_weights_are_never_unpickled(tmp_path, marker):
    import h5py
    import keras

    from mammo_core.models.weights import _load_file

    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"dense"]
        group = file.create_group("dense")
        group.attrs["weight_names"] = [b"kernel", b"bias"]
        for name in ("kernel", "bias"):
            group[name] = np.void(pickle.dumps(Payload(marker)))
        file.attrs["model_config"] = np.void(pickle.dumps(Payload(marker)))
    body = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="dense")])

    class Network:
        name, application = "tiny", None

    with pytest.raises(ModelError, match="do not fit"):
        _load_file(body, body, Network(), path, ((), ()))


TAGS = ["object/apply:os.system", "object/new:os.system", "name:os.system", "module:os"]


def tagged(tag: str, marker: Path) -> str:
    return f"!!python/{tag} ['touch {marker}']" if "object" in tag else f"!!python/{tag} ''"


@pytest.mark.parametrize("tag", TAGS)
def test_a_recipe_with_tags_is_refused(tmp_path, marker, tag):
    from mammo_core.recipes import load_recipe

    path = tmp_path / "recipe.yaml"
    path.write_text(f"name: {tagged(tag, marker)}\n")
    with pytest.raises(RecipeError, match="cannot be parsed"):
        load_recipe(str(path))
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe("phantom", [f"seed={tagged(tag, marker)}"])


@pytest.mark.parametrize("tag", TAGS)
def test_a_schedule_and_a_connection_with_tags_are_refused(tmp_path, marker, tag):
    from pipelines.connection import _from_file
    from pipelines.schedule import read_schedules

    path = tmp_path / "file.yaml"
    path.write_text(f"name: {tagged(tag, marker)}\n")
    with pytest.raises(RecipeError):
        read_schedules([path])
    with pytest.raises(MammoError):
        _from_file(path)


@pytest.mark.parametrize(
    "text",
    [
        "{{ 6 * 7 }}",
        "{% include 'page.html' %}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.system('touch MARK') }}",
        "<script>alert(1)</script>",
    ],
)
def test_data_on_a_page_is_escaped_text(marker, text):
    import html

    from mammo_core.reporting.page import Page

    text = text.replace("MARK", str(marker))
    page = Page(text, text).section(text, text).text(text).warning(text).facts({text: text}).html()
    assert page.count(html.escape(text, quote=True).replace("&#x27;", "&#39;")) >= 6
    assert "<script>alert" not in page


def parquet(path: Path, marker: Path, *, pandas: bool = False) -> Path:
    """Write a Parquet file with a pickled extension type (CVE-2023-47248)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    payload = pickle.dumps(Payload(marker))
    kind = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": payload,
    }
    column = pa.field("image_id", pa.string(), metadata=kind)
    schema = pa.schema([column], metadata={b"pandas": payload} if pandas else None)
    pq.write_table(pa.table([pa.array(["a"])], schema=schema), path)
    return path


def test_a_pickled_parquet_type_is_not_executed(tmp_path, marker):
    from mammo_core.scoring.tables import read_rows

    path = parquet(tmp_path / "table.parquet", marker)
    assert read_rows(path) == [{"image_id": "a"}]
    assert list(from_parquet(path)["image_id"]) == ["a"]


def test_pickled_pandas_metadata_is_an_error(tmp_path, marker):
    path = parquet(tmp_path / "table.parquet", marker, pandas=True)
    with pytest.raises(ValueError, match="decode"):
        from_parquet(path)


def test_code_in_a_csv_file_is_text(tmp_path, marker):
    """Expressions and formulas are not evaluated."""
    path = tmp_path / "rows.csv"
    text = f"__import__('os').system('touch {marker}')"
    pd.DataFrame({"a": [text, "=1+1"]}).to_csv(path, index=False)
    from mammo_core.scoring.tables import read_rows

    assert [row["a"] for row in read_rows(path)] == [text, "=1+1"]


def test_only_registered_adapters_are_accepted():
    from mammo_core.sources.config import SourceConfig

    with pytest.raises(ValueError, match="adapter"):
        SourceConfig(adapter="os", root="x")


@pytest.mark.parametrize("name", ["os", "..os", "mammo_core.cli", "local"])
def test_only_our_pipelines_are_accepted(name):
    from pipelines.compiled import pipeline

    with pytest.raises(RecipeError, match="no such pipeline"):
        pipeline(name)


@pytest.mark.parametrize("room", ["models", "phantom", "sources", "training"])
def test_a_package_provides_only_its_names(room):
    import importlib

    module = importlib.import_module(f"mammo_core.{room}")
    for name in ("os", "system", "__import__"):
        with pytest.raises(AttributeError):
            getattr(module, name)


def test_contours_with_entities_are_refused(tmp_path):
    from mammo_core.sources.files.source_files import SourceFiles
    from mammo_core.sources.lesions.masks import read_regions

    (tmp_path / "1.xml").write_bytes(
        b'<?xml version="1.0"?><!DOCTYPE plist [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        b"<plist version='1.0'><dict><key>Images</key><string>&x;</string></dict></plist>"
    )
    with pytest.raises(DicomError, match="InvalidFileException"):
        read_regions(SourceFiles(str(tmp_path)), "1.xml")
