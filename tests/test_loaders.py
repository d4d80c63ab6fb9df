"""Every loader of the project that could execute code, and why it executes no foreign code.

The scanner is tests/support/loader_scanner.py. The loaders are tested with hostile files in
tests/test_hostile_files.py, tests/models (Keras archives, HDF5, checkpoints of PyTorch) and
tests/features/test_stored_registry.py (Feast). A loader that is not listed here fails the test:
add the reason why it cannot execute foreign code, and a test with a hostile file if it reads one.
"""

import pytest

from tests.support import loader_scanner

ARRAYS = "plain arrays: NumPy refuses pickled objects"
TABLE_NAME = "a name from a table of the package; other names are an AttributeError"
INSTALLED = "an installed package; no file of a user or of the store names it"
OUR_MODULES = "the modules in a folder of our package; a name is looked up among them first"
OUR_MODULE = "the Python interpreter, with one of our modules"
PIPE = "a pipe between a process and its child; no other process can write to it"
POOL = "pipes between a process and its children; no other process can write to them"
BEAM = "our functions, sent to the workers of this pipeline; none is read from the store"
CONTEXT = "the start method of child processes"
OUR_MODEL = "a layer of a model that was built or loaded here, from its config"
HDF5 = "HDF5 contains numbers and text; the worker follows no link and loads no plugin"
PACKAGE = "our class: the networks of a package that was verified, in safe mode"
PARQUET = "columns of numbers and text: no extension type that unpickles is registered"

#: (file, function, loader): reason
ALLOWED = {
    ("images/warm", "main", "importlib.import_module"): "modules named by the Dockerfile",
    ("images/warm", "main", "pkgutil.walk_packages"): "walks our packages",
    ("mammo_core/cli/__init__.py", "create_app", "importlib.metadata.entry_points"): (
        "commands of installed packages"
    ),
    ("mammo_core/cli/__init__.py", "create_app", "entry.load"): (
        "an installed package; no file of a user or of the store names it"
    ),
    ("mammo_core/datasets/tables.py", "from_parquet", "pyarrow.parquet.ParquetFile"): PARQUET,
    ("mammo_core/datasets/shard_tables.py", "_read_shard_table", "pyarrow.parquet.ParquetFile"): (
        PARQUET
    ),
    ("mammo_core/features/duplicates.py", "_read_digests", "pyarrow.parquet.ParquetFile"): PARQUET,
    ("mammo_core/ingest/other_files.py", "_rows", "pyarrow.parquet.ParquetFile"): PARQUET,
    ("mammo_core/sources/files/file_fact_cache.py", "read", "pyarrow.parquet.ParquetFile"): PARQUET,
    ("mammo_core/sources/published/published.py", "_read", "importlib.import_module"): OUR_MODULES,
    ("mammo_core/cli/experiment.py", "explanations", "?.load"): PACKAGE,
    ("mammo_core/acceptance/run.py", "accept", "opened.load"): PACKAGE,
    ("mammo_core/packaging/exports.py", "_write_onnx", "tf2onnx.graph.Node.__hash__"): (
        "a hash of names, for the same bytes in every process"
    ),
    ("mammo_core/models/checkpoints/pickles.py", "read_pickle", "pickletools.genops"): (
        "parses opcodes and runs none; a machine of ours knows a few of them"
    ),
    ("benchmarks/scale.py", "run_step", "subprocess.Popen"): OUR_MODULE,
    ("benchmarks/table.py", "measure", "subprocess.run"): OUR_MODULE,
    (
        "mammo_core/datasets/tfio.py",
        "_exit_before_destructors",
        "ctypes.CDLL",
    ): "the C library in memory",
    ("mammo_core/dicom/codecs/decoders.py", "_receive", "self._channel.recv"): (
        "bytes of a socket pair, read as JSON and raw words"
    ),
    ("mammo_core/dicom/codecs/worker.py", "_load", "importlib.util.spec_from_file_location"): (
        "the codecs next to it, at a path from the parent process"
    ),
    ("mammo_core/dicom/codecs/worker.py", "_load", "importlib.util.module_from_spec"): "see above",
    ("mammo_core/dicom/codecs/worker.py", "_load", "spec.loader.exec_module"): "see above",
    ("mammo_core/documents.py", "parse_npz", "numpy.load(allow_pickle=False)"): ARRAYS,
    ("mammo_core/documents.py", "parse_plist", "plistlib.loads"): (
        "an XML property list: texts, numbers, lists; entities are refused"
    ),
    ("mammo_core/features/definitions.py", "open_feast", "feast.FeatureStore"): (
        "its registry is built from our definitions in an empty folder, never read from the store"
    ),
    ("mammo_core/ingest/engines.py", "_run_by_beam", "apache_beam.Pipeline"): BEAM,
    ("mammo_core/ingest/engines.py", "_run_direct", "apache_beam.Pipeline"): BEAM,
    ("mammo_core/ingest/on_dask.py", "_submit", "apache_beam.Pipeline"): (
        "our functions, sent to the workers of a scheduler that the user names; who reaches it "
        "runs code with its rights (docs/runners.md)"
    ),
    ("mammo_core/models/layers.py", "seeded_copy", "layer.__class__.from_config"): OUR_MODEL,
    ("mammo_core/models/keras2/hdf5_worker.py", "main", "h5py.File"): HDF5,
    ("mammo_core/models/keras2/hdf5_worker.py", "_child", "h5py.HardLink"): HDF5,
    ("mammo_core/models/keras2/hdf5_worker.py", "_datasets", "h5py.Dataset"): HDF5,
    ("mammo_core/models/keras2/hdf5_worker.py", "_datasets", "h5py.Group"): HDF5,
    ("mammo_core/models/keras2/hdf5_worker.py", "_model", "h5py.Group"): HDF5,
    ("mammo_core/models/keras2/hdf5_worker.py", "_text", "h5py.Empty"): HDF5,
    ("mammo_core/models/precision.py", "clone", "layer.__class__.from_config"): OUR_MODEL,
    (
        "mammo_core/models/storage.py",
        "_refuse_large",
        "keras.saving.deserialize_keras_object(safe_mode=True)",
    ): "safe mode; lambdas and foreign classes are refused before",
    ("mammo_core/models/storage.py", "load_model", "keras.saving.load_model(safe_mode=True)"): (
        "safe mode; lambdas and foreign classes are refused before"
    ),
    ("mammo_core/models/weights.py", "_load_file", "target.load_weights"): (
        "numbers of an .h5 file into one of our networks; Keras reads no config from it"
    ),
    ("mammo_core/packaging/exports.py", "_write_onnx", "onnxruntime.InferenceSession"): (
        "the file that was just written; no library of custom operators is registered"
    ),
    ("mammo_core/packaging/exports.py", "_write_onnx", "tf2onnx.convert.from_function"): (
        "converts one of our functions"
    ),
    (
        "mammo_core/packaging/tensorflow_export.py",
        "write_saved_model",
        "tensorflow.saved_model.load",
    ): "the SavedModel that was just written; others are never read",
    ("mammo_core/monitoring/on_alarm.py", "start", "subprocess.run"): (
        "a command that the user gives for alarms; no file of the store names it, and no shell"
    ),
    ("mammo_core/processes/call.py", "answer", "importlib.import_module"): (
        "a module named by the parent process, in a folder that only it can write to"
    ),
    ("mammo_core/processes/launch.py", "main", "os.execvp"): "a command given by the parent",
    ("mammo_core/processes/memory.py", "give_back_memory", "ctypes.CDLL"): (
        "the C library in memory"
    ),
    ("mammo_core/processes/pool.py", "_begin_worker", "ctypes.CDLL"): "the C library in memory",
    ("mammo_core/processes/pool.py", "_context", "multiprocessing.get_context"): CONTEXT,
    (
        "mammo_core/processes/pool.py",
        "map_in_processes",
        "concurrent.futures.ProcessPoolExecutor",
    ): POOL,
    ("mammo_core/processes/run.py", "start_process", "subprocess.Popen(**=options)"): (
        "the Python interpreter, with launch.py and one of our commands"
    ),
    ("mammo_core/reporting/page.py", "html", "jinja2.Environment(autoescape=True)"): (
        "a template of this package; data are escaped values, never a template"
    ),
    ("mammo_core/scoring/tables.py", "read_rows", "pyarrow.parquet.ParquetFile"): PARQUET,
    (
        "mammo_core/packaging/source_commit.py",
        "git_sha",
        "subprocess.run",
    ): "git, in our source tree",
    (
        "mammo_core/sources/tables/workbook.py",
        "parquet_rows",
        "pyarrow.parquet.ParquetFile",
    ): PARQUET,
    ("mammo_core/training/fit.py", "train", "checkpoints.load"): "our class, in this list",
    ("pipelines/compiled.py", "pipeline", "importlib.import_module"): "one of PIPELINES",
    ("pipelines/local.py", "run_compiled", "kfp.components.load_component_from_text"): (
        "a pipeline is a program: the user names it, and none is read from the store"
    ),
    ("benchmarks/forms.py", "main", "?.load"): PACKAGE,
    ("benchmarks/heatmap.py", "run", "numpy.load"): "an array; NumPy's default refuses pickles",
    ("benchmarks/convert.py", "_peaks", "receiver.recv"): PIPE,
    ("benchmarks/convert.py", "_peaks", "multiprocessing.get_context"): CONTEXT,
    ("benchmarks/heatmap.py", "run", "multiprocessing.get_context"): CONTEXT,
    ("benchmarks/score.py", "peak_mb", "receiver.recv"): PIPE,
    ("benchmarks/score.py", "peak_mb", "multiprocessing.get_context"): CONTEXT,
    ("mammo_core/sources/adapter.py", "get_adapter", "importlib.import_module"): OUR_MODULES,
    ("mammo_core/steps/registry.py", "get_step", "importlib.import_module"): OUR_MODULES,
    ("mammo_core/steps/__init__.py", "__getattr__", "importlib.import_module"): OUR_MODULES,
    ("mammo_core/at_paths/__init__.py", "__getattr__", "importlib.import_module"): OUR_MODULES,
    **dict.fromkeys(
        (
            ("mammo_core/cli/models.py", "verify_model", "opened.load"),
            ("mammo_core/cli/score.py", "score", "package.load"),
            ("mammo_core/experiments/run.py", "_test_scores", "?.load"),
            ("mammo_core/packaging/initial_model.py", "from_package", "package.load"),
            ("mammo_core/duel/run_duel.py", "make", "package.load"),
            ("mammo_core/serving/run.py", "serve", "opened.load"),
            ("mammo_core/steps/scoring.py", "make", "package.load"),
        ),
        PACKAGE,
    ),
    ("components/__init__.py", "__getattr__", "importlib.import_module"): OUR_MODULES,
    ("mammo_core/lazy.py", "__getattr__", "importlib.import_module"): TABLE_NAME,
    **{
        ("mammo_core/discovery.py", function, loader): OUR_MODULES
        for function, loader in (
            ("module_names", "importlib.import_module"),
            ("module_names", "pkgutil.iter_modules"),
            ("import_modules", "importlib.import_module"),
            ("import_from_packages", "importlib.import_module"),
            ("import_from_packages", "pkgutil.iter_modules"),
        )
    },
    **{
        ("mammo_core/discovery.py", "import_entry_points", loader): INSTALLED
        for loader in ("importlib.metadata.entry_points", "entry.load")
    },
    **{
        (f"benchmarks/{name}.py", "measure", loader): reason
        for name in ("input", "reader", "sample")
        for loader, reason in (
            ("receiver.recv", PIPE),
            ("multiprocessing.get_context", CONTEXT),
        )
    },
}
#: Number of uses, if more than one.
COUNTS = {
    ("mammo_core/discovery.py", "import_from_packages", "importlib.import_module"): 2,
    ("images/warm", "main", "importlib.import_module"): 3,
    ("mammo_core/models/keras2/hdf5_worker.py", "_datasets", "h5py.Dataset"): 2,
    ("mammo_core/models/keras2/hdf5_worker.py", "_model", "h5py.Group"): 2,
}


def test_every_loader_is_listed_with_a_reason():
    uses = loader_scanner.occurrences()
    unlisted = {key: count for key, count in uses.items() if count > COUNTS.get(key, 1)}
    unlisted |= {key: count for key, count in uses.items() if key not in ALLOWED}
    assert not unlisted, "may execute foreign code, and ALLOWED has no reason why it does not"
    assert all(ALLOWED.values())


def test_every_listed_loader_exists():
    uses = loader_scanner.occurrences()
    assert not [key for key in ALLOWED if key not in uses]
    assert not [key for key, count in COUNTS.items() if uses.get(key) != count]


def test_all_python_files_are_scanned():
    names = {
        str(path.relative_to(loader_scanner.REPOSITORY)) for path in loader_scanner.python_files()
    }
    for name in (
        "mammo_core/features/join.py",
        "pipelines/local.py",
        "components/prepare_data/component.py",
        "images/warm",
        "manifests/overlays/minio/initialize.py",
    ):
        assert name in names


@pytest.mark.parametrize(
    ("source", "loader"),
    [
        ("import pickle\npickle.load(file)", "pickle.load"),
        ("import pickle as p\ndef f():\n    return p.loads(b'')", "pickle.loads"),
        ("from pickle import load as read\nread(file)", "pickle.load"),
        ("from pickle import load\nhandlers = {'a': load}", "pickle.load"),
        ("from pickle import *", "pickle.*"),
        ("def f():\n    import dill\n    dill.loads(b'')", "dill.loads"),
        ("import pickle\npickle.Unpickler(file).load()", "pickle.Unpickler"),
        ("import cloudpickle\ncloudpickle.load(f)", "cloudpickle.load"),
        ("import marshal\nmarshal.loads(b)", "marshal.loads"),
        ("import shelve\nshelve.open('x')", "shelve.open"),
        ("import joblib\njoblib.load('x')", "joblib.load"),
        ("import numpy as np\nnp.load(p)", "numpy.load"),
        ("import numpy as np\nnp.load(p, allow_pickle=True)", "numpy.load(allow_pickle=True)"),
        (
            "import numpy as np\nnp.lib.format.read_array(f, allow_pickle=True)",
            "numpy.lib.format.read_array(allow_pickle=True)",
        ),
        ("def f(read):\n    read(p, allow_pickle=flag)", "?(allow_pickle=flag)"),
        ("from numpy import load\nload(p, **more)", "numpy.load(**=more)"),
        ("import pandas as pd\npd.read_pickle(p)", "pandas.read_pickle"),
        ("import pandas as pd\npd.read_hdf(p)", "pandas.read_hdf"),
        ("table.query(text)", "table.query"),
        ("pd.DataFrame().eval(text)", "?.eval"),
        ("import yaml\nyaml.load(t, yaml.Loader)", "yaml.load(yaml.Loader)"),
        ("import yaml\nyaml.load(t, Loader=X)", "yaml.load(Loader=X)"),
        ("import yaml\nyaml.unsafe_load(t)", "yaml.unsafe_load"),
        ("import keras\nkeras.models.load_model(p)", "keras.models.load_model"),
        (
            "from keras.saving import load_model\nload_model(p, safe_mode=False)",
            "keras.saving.load_model(safe_mode=False)",
        ),
        ("import keras\nkeras.layers.Lambda(f)", "keras.layers.Lambda"),
        (
            "import keras\nkeras.config.enable_unsafe_deserialization()",
            "keras.config.enable_unsafe_deserialization",
        ),
        ("import tensorflow as tf\ntf.saved_model.load(p)", "tensorflow.saved_model.load"),
        ("import tensorflow as tf\ntf.py_function(f, [], [])", "tensorflow.py_function"),
        ("import tensorflow as tf\ntf.load_op_library(p)", "tensorflow.load_op_library"),
        ("import torch\ntorch.load(p)", "torch.load"),
        ("from jinja2 import Template\nTemplate(text)", "jinja2.Template"),
        ("environment.from_string(text)", "environment.from_string"),
        ("eval(text)", "eval"),
        ("exec(text)", "exec"),
        ("run = exec", "exec"),
        ("import builtins\ngetattr(builtins, 'ev' + 'al')(text)", "builtins"),
        ("__import__(name)", "__import__"),
        ("import importlib\nimportlib.import_module(name)", "importlib.import_module"),
        ("import importlib\ngetattr(importlib, name)", "importlib"),
        ("import runpy\nrunpy.run_path(p)", "runpy.run_path"),
        ("import os\nos.system(text)", "os.system"),
        ("import subprocess\nsubprocess.run(t, shell=True)", "subprocess.run(shell=True)"),
        ("from feast import FeatureStore\nFeatureStore('.')", "feast.FeatureStore"),
        (
            "from feast import FeatureView\nFeatureView.from_proto(p)",
            "feast.FeatureView.from_proto",
        ),
        ("import h5py\nh5py.File(p)", "h5py.File"),
        ("import onnxruntime as o\no.InferenceSession(p)", "onnxruntime.InferenceSession"),
        ("import tarfile\ntarfile.open(p).extractall()", "?.extractall"),
        ("connection.recv()", "connection.recv"),
    ],
)
def test_the_scanner_finds(source, loader):
    assert loader in {name for _, name in loader_scanner.scan(source)}


@pytest.mark.parametrize(
    "source",
    [
        "import json\njson.load(file)\njson.loads(text)",
        "import re\nre.compile('a')",
        "import yaml\nyaml.safe_load(text)",
        "model.compile(loss=loss)",
        "from urllib.parse import urlsplit\nurlsplit(uri).query",
        "from importlib.metadata import version\nversion('x')",
        "from mammo_core.models.storage import load_model\nload_model(path)",
        "'pickle.load(file)'",
        "code = data[:2]\ncode.decode('ascii')",
    ],
)
def test_the_scanner_ignores_harmless_code(source):
    assert not loader_scanner.scan(source)


def test_an_unlisted_loader_fails(tmp_path, monkeypatch):
    """So does one more use of a listed loader in the same function."""
    room = tmp_path / "mammo_core" / "features"
    room.mkdir(parents=True)
    (room / "join.py").write_text("import pickle\n\ndef join(file):\n    pickle.load(file)\n")
    (room / "definitions.py").write_text(
        "import feast\n\ndef open_feast():\n    feast.FeatureStore()\n    feast.FeatureStore()\n"
    )
    monkeypatch.setattr(loader_scanner, "REPOSITORY", tmp_path)
    with pytest.raises(AssertionError) as caught:
        test_every_loader_is_listed_with_a_reason()
    assert "pickle.load" in str(caught.value) and "feast.FeatureStore" in str(caught.value)
