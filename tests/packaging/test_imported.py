"""`mammo models import-keras2`: networks of 2017 with their input contract, fit for scoring."""

import csv
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import mammo_core.models  # noqa: F401 - what the issue says to import before loading
from mammo_core.cli.models import app
from mammo_core.cli.score import score as score_command
from mammo_core.errors import ModelError, RecipeError
from mammo_core.packaging import load, self_check
from mammo_core.packaging.imported import CLASSES, PUBLISHED, import_model, published_mean
from mammo_core.registry import open_package

WHOLE = "tiny_gray_whole_vggtop.h5"


@pytest.fixture(scope="module")
def golden(real_data: Path) -> Path:
    return real_data / "original_golden"


def invoke(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["import-keras2", *map(str, arguments)])
    if done.exception is not None:
        raise done.exception
    return done.output


NAMES = {
    "ddsm_resnet50_s10_[512-512-1024]x2.h5": 52.18,
    "ddsm_resnet50_s10_%5B512-512-1024%5Dx2.h5": 52.18,
    "ddsm_resnet50_s10__512-512-1024_x2.h5": 52.18,
    "ddsm_vgg16_s10_512x1.h5": 52.18,
    "ddsm_vgg16_s10_[512-512-1024]x2_hybrid.h5": 52.18,
    "ddsm_YaroslavNet_s10.h5": 52.18,
    "inbreast_vgg16_512x1.h5": 44.33,
    "inbreast_vgg16_[512-512-1024]x2_hybrid.h5": 44.33,
    "vgg16_512x1.h5": None,
}


def test_published_files_are_recognized_by_name():
    """Names and means: docs/original-system.md, "Weight files of Keras 2.0.8"."""
    assert {name: published_mean(name) for name in NAMES} == NAMES
    assert {name.removesuffix(".h5") for name in NAMES} >= set(PUBLISHED)


@pytest.mark.parametrize("name", ["ddsm_YaroslavNet_s10", "inbreast_vgg16_512x1"])
def test_a_published_file_brings_its_contract(name: str, golden: Path, tmp_path: Path):
    """255/65535, mean 52.18 or 44.33, neg/pos, as above; the size is that of the file."""
    file = tmp_path / f"{name}.h5"
    shutil.copyfile(golden / "models" / WHOLE, file)
    content = json.loads(invoke(file, "--out", tmp_path / "m.keras", "--json"))
    contract = content["preprocessing"]
    assert contract["mean"] == (44.33 if name.startswith("inbreast") else 52.18)
    assert contract["rescale_factor"] == 255 / 65535
    assert (
        contract["geometry"]["height"],
        contract["geometry"]["width"],
        contract["channels"],
    ) == (96, 80, 1)
    assert content["label_map"] == {"neg": 0, "pos": 1}
    assert CLASSES == ("neg", "pos")


def test_a_network_alone_opens_in_keras_and_scores(golden: Path, tmp_path: Path):
    out = tmp_path / "new" / "net.keras"
    output = invoke(golden / "models" / WHOLE, "--out", out, "--preprocessing", '{"mean": 52.18}')
    assert "51 layers, 9,682 parameters" in output
    assert "trainable: all" in output
    assert "input contract: 96x80x1, pixel x 0.00389105 - 52.18" in output
    assert sorted(path.name for path in out.parent.iterdir()) == ["net.json", "net.keras"]
    recorded = np.load(golden / "models" / WHOLE.replace(".h5", ".npz"))
    opened = keras.saving.load_model(out, safe_mode=True)
    np.testing.assert_allclose(opened(recorded["x"]), recorded["y"], rtol=0, atol=1e-5)

    package = open_package(str(out)).load()
    assert package.preprocessing.mean == 52.18
    first = out.read_bytes()
    invoke(golden / "models" / WHOLE, "--out", out, "--preprocessing", "ddsm")
    assert out.read_bytes() == first
    contract = json.loads(out.with_suffix(".json").read_text())
    out.with_suffix(".json").write_text(json.dumps({**contract, "sha256": "0" * 64}))
    with pytest.raises(ModelError, match="is not a model package"):
        open_package(str(out))


def test_a_package_scores_images_and_passes_its_self_check(golden: Path, tmp_path: Path):
    contract = tmp_path / "contract.json"
    contract.write_text('{"mean": 44.33, "conversion": {"stretch": "min_max"}}')
    folder = tmp_path / "package"
    models = golden / "models"
    invoke(
        models / WHOLE, "--out", folder, "--preprocessing", contract,
        "--patch-model", models / "tiny_gray_patch.h5", "--patch-size", 48,
        "--patch-classes", "background,benign_mass,malignant_mass,benign_calc,malignant_calc",
    )  # fmt: skip
    assert self_check(folder).largest_difference < 1e-5
    package = load(folder)
    assert package.preprocessing.conversion.stretch == "min_max"
    assert package.patch_model.output_shape == (None, 5)
    lineage = json.loads((folder / "lineage.json").read_text())
    assert lineage["imported_from"] == WHOLE
    scores = tmp_path / "scores.csv"
    score_command(
        [str(path) for path in sorted((golden / "img").glob("*[CO].png"))],
        [str(folder)],
        out=scores,
        flips=False,
    )
    with scores.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert all(0 < float(row["malignant_probability"]) < 1 for row in rows)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (["--out", "package"], ModelError, "contract of tiny.*unknown.*--preprocessing"),
        (["--out", "p", "--preprocessing", "siemens"], RecipeError, "ddsm, inbreast, a JSON file"),
        (["--out", "p", "--preprocessing", "[1]"], RecipeError, "cannot be read"),
        (["--out", "p", "--preprocessing", '{"channels": 1}'], RecipeError, "mean: Field required"),
        (
            ["--out", "p", "--preprocessing", '{"mean": 5, "channels": 3}'],
            ModelError,
            "does not match",
        ),
        (
            ["--out", "p", "--preprocessing", '{"mean": 5, "geometry": {"height": 64}}'],
            ModelError,
            "96x80 pixels",
        ),
        (["--out", "p", "--preprocessing", '{"mean": 5, "gamma": 1}'], RecipeError, "gamma"),
        (["--out", "m.keras", "--classes", "a"], RecipeError, "2 different names"),
        (
            ["--out", "p", "--preprocessing", "ddsm", "--classes", "a,b"],
            ModelError,
            "include 'pos'",
        ),
        (["--out", "m.keras", "--patch-model", "x.h5"], RecipeError, "a patch network"),
    ],
)
def test_a_contract_that_does_not_match_is_refused(
    arguments: list[str], kind: type, message: str, golden: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match=message):
        invoke(golden / "models" / WHOLE, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_patch_network_cannot_be_a_package(golden: Path, tmp_path: Path):
    file = golden / "models" / "tiny_gray_patch.h5"
    with pytest.raises(ModelError, match="not a whole-image classifier"):
        import_model(file, tmp_path / "package", preprocessing='{"mean": 52.18}')
    done = import_model(file, tmp_path / "patch.keras", preprocessing="ddsm")
    assert done.content["preprocessing"]["geometry"]["height"] == 1152
    assert list(done.content["label_map"]) == [f"class_{k}" for k in range(5)]
