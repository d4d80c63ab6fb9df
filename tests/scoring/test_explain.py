"""Heatmaps and regions of scored images."""

import csv
import json

import pytest

from mammo_core.packaging import load
from mammo_core.scoring import ScoreOptions, score


@pytest.fixture(scope="module")
def with_patches(tmp_path_factory, make_package):
    """A package with a patch classifier whose patches are 32 pixels per side."""
    from mammo_core.packaging.keras_file import import_keras

    import_keras()
    from mammo_core.models import NetworkConfig, build_patch_network

    patch = build_patch_network(NetworkConfig(name="compact"), (32, 32), 5, seed=1)
    kernel, bias = patch.get_layer("predictions").get_weights()
    bias[0] = -1e4  # never background
    patch.get_layer("predictions").set_weights([kernel, bias])
    classes = ("background", "calc_ben", "calc_mal", "mass_ben", "mass_mal")
    folder = tmp_path_factory.mktemp("patches") / "package"
    channels = patch.input_shape[-1]
    make_package(
        folder,
        channels=channels,
        size=(96, 72),
        patch_model=patch,
        patch_classes=classes,
        patch_size=32,
    )
    return load(folder)


@pytest.fixture
def images(tmp_path, write):
    for name in ("a/x.dcm", "y.dcm"):
        write.dicom(tmp_path / "in" / name, write.breast(len(name)))
    return tmp_path / "in"


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_heatmaps_and_regions_of_a_patch_classifier(with_patches, images, tmp_path):
    import cv2

    out, maps = tmp_path / "s.csv", tmp_path / "maps"
    options = ScoreOptions(heatmaps=maps, explain=True)
    summary = score(with_patches, [images], out, options)
    assert [row["heatmap"] for row in rows(out)] == ["a/x.dcm.png", "y.dcm.png"]
    for row in rows(out):
        heatmap = cv2.imread(str(maps / row["heatmap"]))
        assert heatmap is not None and heatmap.std() > 0
    regions = rows(tmp_path / "s.regions.csv")
    assert tmp_path / "s.regions.csv" in summary.written
    assert regions and {row["kind"] for row in regions} == {"patch classifier"}
    ids = {row["id"] for row in rows(out)}
    for row in regions:
        assert row["id"] in ids
        assert 0 <= float(row["row"]) < 96 and 0 <= float(row["column"]) < 72
        assert 0 <= float(row["peak"]) <= 1
    before = {path.name: path.read_bytes() for path in maps.rglob("*.png")}
    score(with_patches, [images], out, options)
    assert {path.name: path.read_bytes() for path in maps.rglob("*.png")} == before


def test_a_package_without_patches_is_explained_by_occlusion(package, images, tmp_path):
    score(package, [images / "y.dcm"], tmp_path / "s.json", ScoreOptions(explain=True))
    result = json.loads((tmp_path / "s.json").read_text())
    assert {row["kind"] for row in result["regions"]} <= {"occlusion"}
    assert result["images"][0]["heatmap"] == ""


def test_files_with_the_same_name_have_separate_heatmaps(package, write, tmp_path):
    for folder in ("one", "two"):
        write.dicom(tmp_path / folder / "x.dcm", write.breast(len(folder) + ord(folder[0])))
    folders = [tmp_path / "one", tmp_path / "two"]
    score(package, folders, tmp_path / "s.csv", ScoreOptions(heatmaps=tmp_path / "maps"))
    names = [row["heatmap"] for row in rows(tmp_path / "s.csv")]
    assert len(set(names)) == 2
    assert {path.name for path in (tmp_path / "maps").iterdir()} == set(names)
