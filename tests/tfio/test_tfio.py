"""tensorflow-io in its own environment, against a real S3 server: `make test-tfio`."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import yaml

from mammo_core.datasets import parse
from mammo_core.store import open_store

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
PYTHON = REPOSITORY / ".venv-tfio" / "bin" / "python"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.s3,
    pytest.mark.skipif(not PYTHON.exists(), reason="no .venv-tfio: `make test-tfio` creates it"),
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    from mammo_core.phantom import PhantomConfig, create

    root = tmp_path_factory.mktemp("tfio") / "tree"
    create(root, PhantomConfig(patients=16, seed=3, height=192, width=150), workers=1)
    return root


@pytest.fixture(scope="module")
def recipe(tree):
    values = yaml.safe_load((REPOSITORY / "tests" / "e2e" / "recipe.yaml").read_text())
    values["source"]["root"] = str(tree)
    values["patch_training"]["stages"] = [
        {"train": "all", "learning_rate": 0.001, "epochs": 1, "weight_decay": 0.0}
    ]
    values["image_training"]["stages"] = values["patch_training"]["stages"]
    path = tree.parent / "recipe.yaml"
    path.write_text(yaml.safe_dump({**values, "reader": "tfio", "max_reject_share": 0.5}))
    return path


@pytest.fixture(scope="module")
def published(s3_server, recipe, tree):
    """Images, patches and a frame in S3, published from the main environment."""
    from mammo_core import at_paths

    uri, folder = f"s3://mammo-tfio/{uuid4().hex}", tree.parent
    environment = {**s3_server.environment, "MAMMO_SCRATCH": str(folder / "scratch")}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        common = {"store": uri, "run_id": "r", "recipe": str(recipe)}
        out = {name: str(folder / name) for name in ("tables", "images", "frame", "patches")}
        at_paths.index(**common, out=out["tables"])
        at_paths.convert(**common, tables=out["tables"], out=out["images"])
        at_paths.publish_features(
            **common, tables=out["tables"], images=out["images"], out=out["frame"]
        )
        at_paths.sample(**common, tables=out["tables"], images=out["images"], out=out["patches"])
        yield {**common, **out}


@pytest.fixture
def in_tfio(s3_server, tmp_path):
    """Run Python code in the environment of tensorflow-io."""

    def run(*line: str, **more: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            **s3_server.environment,
            "MAMMO_SCRATCH": str(tmp_path / "scratch"),
            "PYTHONPATH": str(REPOSITORY),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            **more,
        }
        return subprocess.run(
            [str(PYTHON), *line],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )

    return run


def test_patch_and_image_networks_train_from_streamed_records(published, in_tfio, tmp_path):
    code = """
import sys
from mammo_core import at_paths

common = dict(store=sys.argv[1], run_id="r", recipe=sys.argv[2])
at_paths.train_patch(**common, patches=sys.argv[3], frame=sys.argv[4], out="patch")
at_paths.train_image(
    **common, frame=sys.argv[4], patch_training="patch", images=sys.argv[5], out="image"
)
"""
    names = ("store", "recipe", "patches", "frame", "images")
    done = in_tfio("-c", code, *(published[name] for name in names))
    assert done.returncode == 0, done.stdout + done.stderr
    store = open_store(published["store"])
    for name in ("patch", "image"):
        manifest = parse((tmp_path / name).read_bytes(), name)
        assert manifest.config["reader"] == "tfio"
        history = json.loads(store.read(manifest.file("history.json").key))
        assert np.isfinite(history[0]["loss"]) and np.isfinite(history[0]["val_loss"])
    # Streamed: no shard was fetched into the scratch cache.
    assert not list((tmp_path / "scratch").rglob("*shard*"))


def test_streamed_records_equal_those_of_the_local_reader(published, in_tfio):
    from mammo_core.datasets.readers import RecordSource
    from mammo_core.features.frame import frame_from_manifest

    store = open_store(published["store"])
    images = parse(Path(published["images"]).read_bytes(), "images")
    frame = frame_from_manifest(store, parse(Path(published["frame"]).read_bytes(), "frame"))
    labels = frame.image_labels("train")
    local = RecordSource(store, images, labels, classes=2, batch_size=3)
    expected = {
        name: hashlib.sha256(pixels.tobytes()).hexdigest()
        for batch in local.batches(0)
        for name, pixels in zip(batch.ids, batch.pixels, strict=True)
    }
    code = """
import hashlib, json, sys
from mammo_core.datasets import parse
from mammo_core.datasets.readers import RecordSource
from mammo_core.store import open_store

store, images = open_store(sys.argv[1]), parse(open(sys.argv[2]).read(), "images")
labels = json.loads(sys.argv[3])
for seed in (None, 1):
    source = RecordSource(
        store, images, labels, classes=2, batch_size=3, shuffle_seed=seed, reader="tfio"
    )
    digests = {}
    for batch in source.batches(0):
        assert [labels[name] for name in batch.ids] == batch.labels.tolist()
        for name, pixels in zip(batch.ids, batch.pixels):
            digests[name] = hashlib.sha256(pixels.tobytes()).hexdigest()
    print(json.dumps(digests))
"""
    done = in_tfio("-c", code, published["store"], published["images"], json.dumps(labels))
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [expected, expected]


@pytest.mark.parametrize(
    ("ending", "code"), [("", 0), ("sys.exit(3)", 3), ("raise ValueError('on purpose')", 1)]
)
def test_the_exit_code_of_the_program_is_kept(published, in_tfio, ending, code):
    text = f"""
import sys
import tensorflow as tf
from mammo_core.datasets.tfio import s3_uris
from mammo_core.store import open_store

store = open_store(sys.argv[1])
keys = [key for key in store.list("") if key.endswith(".tfrecord")]
print(sum(1 for _ in tf.data.TFRecordDataset(s3_uris(store, keys))))
{ending}
"""
    done = in_tfio("-c", text, published["store"])
    assert done.returncode == code, done.stderr
    assert int(done.stdout) > 10  # and the output is complete
    assert ("on purpose" in done.stderr) == (code == 1)


@pytest.mark.parametrize("fail", [False, True])
def test_a_kfp_step_ends_with_the_right_exit_code(published, in_tfio, tmp_path, fail):
    outputs = {"parameters": {"Output": {"outputFile": str(tmp_path / "output")}}}
    executor_input = {
        "inputs": {
            "parameterValues": {"uri": published["store"], "fail": fail},
            "parameters": {},
        },
        "outputs": {**outputs, "outputFile": str(tmp_path / "executor_output.json")},
    }
    done = in_tfio(
        "-m",
        "kfp.dsl.executor_main",
        "--component_module_path",
        str(HERE / "component.py"),
        "--executor_input",
        json.dumps(executor_input),
        "--function_to_execute",
        "count_records",
        _KFP_RUNTIME="true",
    )
    assert done.returncode == int(fail), done.stdout + done.stderr
    if not fail:
        output = json.loads((tmp_path / "executor_output.json").read_text())
        assert output["parameterValues"]["Output"] > 10


def test_wrong_credentials_are_reported(published, in_tfio):
    code = """
import sys
from mammo_core.datasets import parse
from mammo_core.datasets.readers import RecordSource
from mammo_core.errors import RecordError
from mammo_core.store import open_store

store, images = open_store(sys.argv[1]), parse(open(sys.argv[2]).read(), "images")
source = RecordSource(store, images, {"x": 0}, classes=2, batch_size=3, reader="tfio")
try:
    list(source.batches(0))
except RecordError as error:
    sys.exit(f"reported: {error}")
"""
    done = in_tfio(
        "-c", code, published["store"], published["images"], MAMMO_S3_SECRET_KEY="wrong-secret-key"
    )
    assert done.returncode == 1 and "reported: The shards s3://" in done.stderr, done.stderr
    assert "wrong-secret-key" not in done.stdout + done.stderr


def _decoded(in_tfio, paths):
    """Decode files with tensorflow-io into decoded.npz: (h, w) uint16 by path."""
    code = """
import sys
from pathlib import Path
import numpy as np
from mammo_core.datasets.tfio import decode_dicom

np.savez("decoded.npz", **{name: decode_dicom(Path(name), name) for name in sys.argv[1:]})
"""
    done = in_tfio("-c", code, *map(str, paths))
    assert done.returncode == 0, done.stderr
    return done


def test_our_decoder_agrees_with_tensorflow_ios(tree, in_tfio, tmp_path):
    import pydicom

    from mammo_core.dicom import read_image

    paths = sorted(tree.rglob("*.dcm"))[:40]
    _decoded(in_tfio, paths)
    inverted = 0
    with np.load(tmp_path / "decoded.npz") as theirs:
        assert len(theirs.files) == len(paths) == 40
        for path in paths:
            ours = read_image(path, path.name).pixels.astype(np.int64)
            bright_is_low = pydicom.dcmread(path).PhotometricInterpretation == "MONOCHROME1"
            inverted += bright_is_low
            # It inverts MONOCHROME1 in floating point, so some pixels differ by one gray level.
            difference = np.abs(theirs[str(path)] - ours).max()
            assert difference <= (1 if bright_is_low else 0), path
    assert 0 < inverted < 40


@pytest.mark.real
def test_our_decoder_agrees_on_compressed_files(real_data, in_tfio, tmp_path):
    """JPEG 2000 and JPEG lossless; no MR files, which tensorflow-io rescales."""
    from mammo_core.dicom import read_image

    folder = real_data / "dicom"
    names = ("CT2_JPLL.dcm", "NM1_J2KI.dcm")
    paths = [folder / "transfer_syntaxes" / name for name in names]
    paths += [folder / "MG1_J2KI.dcm", folder / "MG_Explicit_Little.dcm"]
    _decoded(in_tfio, paths)
    with np.load(tmp_path / "decoded.npz") as theirs:
        for path in paths:
            assert np.array_equal(theirs[str(path)], read_image(path, path.name).pixels), path


def test_without_tensorflow_io_the_error_says_what_is_missing(s3_environment):
    """In the main environment: one line instead of the traceback of an import."""
    code = """
from mammo_core.datasets.tfio import s3_uris
from mammo_core.store import open_store
from mammo_core.errors import RecipeError

try:
    s3_uris(open_store("s3://bucket/x"), ["a"])
except RecipeError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert "requirements/tfio.txt" in done.stdout
