import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mammo_core.errors import ModelError
from mammo_core.packaging import load, self_check, self_check_in_new_process, verify
from mammo_core.packaging.contents import REQUIRED
from mammo_core.packaging.signatures.checksums import write_sums

ROOT = Path(__file__).parents[2]


def test_the_folder_has_every_file_of_a_package(built):
    first, second = built
    assert {path.name for path in first.iterdir()} == {
        *REQUIRED,
        "patch_classifier.keras",
        "SHA256SUMS",
    }
    assert {path.name for path in second.iterdir()} == {*REQUIRED, "SHA256SUMS"}
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=first, check=False
    )
    assert done.returncode == 0
    assert not list(first.parent.glob(".*"))


def test_the_card_states_the_input_and_research_use(built):
    card = json.loads((built[0] / "card.json").read_text())
    image = card["network_data_format"]["inputs"]["image"]
    assert image["spatial_shape"] == [24, 16]
    assert (image["dtype"], image["value_range"]) == ("uint16", [0, 65535])
    text = (built[0] / "MODEL_CARD.md").read_text()
    assert "Research use only. Not a medical device." in text
    assert "auc: 0.7500" in text and card["model_id"] in text


def test_a_loaded_package_predicts_like_the_network(built, make):
    model = make.network(1)
    pixels = make.samples(5, seed=9)
    package = load(built[0])
    predicted = package.predict(pixels, batch_size=2)
    expected = np.asarray(model(make.preprocessing().to_network(pixels), training=False))[:, 1]
    assert predicted.dtype == np.float32 and predicted.shape == (5,)
    np.testing.assert_allclose(predicted, expected, atol=1e-5)
    np.testing.assert_allclose(predicted, package.predict(pixels, batch_size=5), atol=1e-6)
    assert package.predict(pixels[:0]).shape == (0,)
    assert package.preprocessing == make.preprocessing()
    assert package.label_map == {"neg": 0, "pos": 1}
    assert package.labels.patch["mass_mal"] == 4
    assert package.patch_model.output_shape == (None, 5)
    assert package.patch_model is package.patch_model


def test_package_without_patch_classifier(built):
    assert load(built[1]).patch_model is None


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((2, 24, 17), np.uint16),
        np.zeros((24, 16), np.uint16),
        np.zeros((2, 24, 16), np.uint8),
        np.zeros((2, 24, 16, 1), np.uint16),
    ],
)
def test_pixels_of_another_geometry_are_refused(built, pixels):
    with pytest.raises(ModelError, match=r"\(n, 24, 16\) uint16"):
        load(built[1]).predict(pixels)


def test_same_model_same_id_and_bytes(built, make, tmp_path):
    again = make.build(tmp_path / "again", make.network(2), metrics={"auc": 0.1})
    first = verify(built[1])
    assert again.model_id == first.model_id
    assert (tmp_path / "again/model.keras").read_bytes() == (built[1] / "model.keras").read_bytes()
    assert (tmp_path / "again/expected.npz").read_bytes() == (
        built[1] / "expected.npz"
    ).read_bytes()
    # Loaded and packaged again it is still the same model.
    third = make.build(tmp_path / "third", load(built[1]).model)
    assert third.model_id == first.model_id


def test_optimizer_and_time_are_not_stored(built):
    with zipfile.ZipFile(built[0] / "model.keras") as file:
        assert {entry.date_time for entry in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert json.loads(file.read("metadata.json"))["date_saved"].startswith("1980")
        assert b"adam" not in file.read("model.weights.h5")
        assert b"adam" not in file.read("config.json")


@pytest.mark.parametrize(
    "change",
    [
        lambda make: {"preprocessing": make.preprocessing(mean=61.0)},
        lambda make: {"label_map": {"pos": 0, "neg": 1}},
        lambda make: {"lineage": {"image_dataset_id": "e" * 64}},
        lambda make: {"patch_model": make.network(5, outputs=3), "patch_classes": "abc"},
    ],
)
def test_what_changes_the_model_changes_its_id(built, make, tmp_path, change):
    changed = make.build(tmp_path / "changed", make.network(2), **change(make))
    assert changed.model_id != verify(built[1]).model_id


def test_another_run_of_the_same_training_is_the_same_model(built, make, tmp_path):
    lineage = {"image_dataset_id": "d" * 64, "run_id": "run-2", "git_sha": "def"}
    again = make.build(tmp_path / "again", make.network(2), lineage=lineage)
    assert again.model_id == verify(built[1]).model_id


@pytest.mark.parametrize("name", [*REQUIRED, "patch_classifier.keras"])
def test_every_changed_file_is_refused_and_named(package, name):
    data = bytearray((package / name).read_bytes())
    data[len(data) // 2] ^= 1
    (package / name).write_bytes(data)
    for use in (verify, load):
        with pytest.raises(ModelError, match=f"{name} was changed"):
            use(package)


@pytest.mark.parametrize("name", [*REQUIRED, "patch_classifier.keras"])
def test_every_missing_file_is_refused_and_named(package, name):
    (package / name).unlink()
    with pytest.raises(ModelError, match=f"{name} is missing"):
        load(package)


def test_surplus_files_folders_and_links_are_refused(package):
    (package / "extra.py").write_text("print()")
    (package / "assets").mkdir()
    (package / "link").symlink_to("card.json")
    with pytest.raises(ModelError) as error:
        load(package)
    for name in ("extra.py", "assets", "link"):
        assert f"{name} is surplus" in str(error.value)


def test_a_link_in_place_of_a_file_is_refused(package, tmp_path):
    shutil.move(package / "model.keras", tmp_path / "elsewhere")
    (package / "model.keras").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match=r"model\.keras was changed"):
        load(package)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "not a model package"),
        (b"", "surplus"),
        (b"garbage\n", "line 1"),
        (b"a" * 64 + b"  ../../etc/passwd\n", "line 1"),
        (b"\xff\xfe", "bytes that are not text"),
    ],
)
def test_damaged_sums_are_refused(package, text, words):
    (package / "SHA256SUMS").unlink()
    if text is not None:
        (package / "SHA256SUMS").write_bytes(text)
    with pytest.raises(ModelError, match=words):
        verify(package)


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(ModelError, match="no such folder"):
        load(tmp_path / "nothing")


def test_replaced_weights_are_refused_even_with_new_sums(built, package):
    shutil.copyfile(built[1] / "model.keras", package / "model.keras")
    write_sums(package)
    with pytest.raises(ModelError, match="does not contain the model it names"):
        load(package)


@pytest.mark.parametrize("name", ["package.json", "preprocessing.json", "label_map.json"])
def test_json_of_another_shape_is_refused(package, name):
    (package / name).write_text('{"unknown": 1}')
    write_sums(package)
    with pytest.raises(ModelError, match=name):
        verify(package)


@pytest.mark.parametrize("written", [2, 99, None])
def test_packages_of_another_release_are_refused_with_the_command_that_builds_them(
    package, written
):
    manifest = json.loads((package / "package.json").read_text())
    (package / "package.json").write_text(json.dumps({**manifest, "format": written}))
    write_sums(package)
    with pytest.raises(ModelError, match="package was written by another release") as error:
        verify(package)
    assert f"format {written}" in str(error.value)
    assert "mammo pipeline run --recipe RECIPE" in str(error.value)


def test_self_check_in_a_new_process(built, new_processes):
    result = self_check_in_new_process(built[0])
    assert result.samples == 3 and result.largest_difference < 1e-5


def test_self_check_reports_other_outputs(package):
    assert self_check(package).largest_difference < 1e-5
    with np.load(package / "expected.npz") as stored:
        pixels, probabilities = stored["pixels"], stored["probabilities"]
    probabilities[1] += 0.01
    np.savez_compressed(package / "expected.npz", pixels=pixels, probabilities=probabilities)
    write_sums(package)
    for check in (self_check, self_check_in_new_process):
        with pytest.raises(ModelError, match="sample 1"):
            check(package)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda make: {"label_map": {"neg": 0, "malignant": 1}}, "'pos'"),
        (lambda make: {"label_map": {"neg": 0, "pos": 2}}, "consecutive indices from 0"),
        (lambda make: {"label_map": {"neg": 0, "pos": 1, "x": 2}}, "does not match its classes"),
        (lambda make: {"patch_model": make.network(outputs=5)}, "patch classifier"),
        (lambda make: {"samples": make.samples(0)}, "samples"),
        (lambda make: {"samples": make.samples()[:, :5]}, "do not match the model"),
        (lambda make: {"metrics": {"auc": float("nan")}}, "metrics.json"),
        (lambda make: {"lineage": {"frame_id": Path("x")}}, "lineage.json"),
    ],
)
def test_a_build_that_fails_leaves_nothing(make, tmp_path, change, words):
    with pytest.raises(ModelError, match=words):
        make.build(tmp_path / "new", make.network(1), **change(make))
    assert list(tmp_path.iterdir()) == []


def test_a_network_with_a_single_sigmoid(make, tmp_path):
    model = make.network(1, outputs=1, activation="sigmoid")
    make.build(tmp_path / "new", model)
    pixels = make.samples()
    expected = np.asarray(model(make.preprocessing().to_network(pixels), training=False))[:, 0]
    np.testing.assert_allclose(load(tmp_path / "new").predict(pixels), expected, atol=1e-5)


def test_outputs_that_are_not_probabilities_are_an_error(make, tmp_path):
    with pytest.raises(ModelError, match="did not return probabilities"):
        make.build(tmp_path / "new", make.network(1, activation="linear"))


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
def test_a_network_with_code_in_it_is_not_packaged(make, tmp_path):
    with pytest.raises(ModelError, match="Cannot read the model"):
        make.build(tmp_path / "new", make.network(1, activation=lambda x: x * 0 + 0.5))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_not_changed(make, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("x")
    with pytest.raises(ModelError, match="in use"):
        make.build(tmp_path / "mine", make.network(1))
    (tmp_path / "empty").mkdir()
    make.build(tmp_path / "empty", make.network(1))
    verify(tmp_path / "empty")


def test_importing_the_rooms_imports_no_heavy_library():
    code = (
        "import sys, mammo_core.packaging, mammo_core.evaluation, mammo_core.reporting, "
        "mammo_core.scoring, mammo_core.cli.score, mammo_core.cli.models; "
        "heavy = {'keras', 'tensorflow', 'matplotlib', 'sklearn', 'jinja2', 'pandas'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
