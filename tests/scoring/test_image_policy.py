"""The policy of a recipe, carried by a package: scoring and serving do what it says."""

import csv
import json

import pytest
from starlette.testclient import TestClient

from mammo_core import steps
from mammo_core.datasets.tables import read_table
from mammo_core.features.frame import frame_from_manifest
from mammo_core.packaging import load
from mammo_core.packaging.training_data import training_data
from mammo_core.phantom import PhantomConfig, create
from mammo_core.scoring import ScoreOptions, score
from mammo_core.scoring.files import InputFile, StatedView
from mammo_core.serving import ServeConfig
from mammo_core.serving.app import create_app
from mammo_core.sources.auditing.policy import ImagePolicy
from mammo_core.store import open_store
from tests.support.training_run import begin_run

pytestmark = pytest.mark.slow  # a frame is made by the steps

#: Each differs from the default, which is on_request, warn, warn, on_request.
IMAGES = ["views.ML=warn", "types.synthetic=on_request", "implants=reject", "partial=accept"]
#: File → fields of its header, what is done with it, and the cause.
FILES = {
    "plain": ({}, "accept", ""),
    "lateral": ({"view": "ML"}, "warn", "view ML"),
    "synthetic": (
        {"ImageType": ["DERIVED", "PRIMARY", "", "GENERATED_2D"]},
        "on_request",
        "image type synthetic",
    ),
    "implant": ({"BreastImplantPresent": "YES"}, "reject", "implant"),
    "partial": ({"PartialView": "YES"}, "accept", ""),
}


@pytest.fixture(scope="module")
def package(tmp_path_factory, make_package):
    """A package with the policy of a recipe, by way of tables, images and frame."""
    root = tmp_path_factory.mktemp("policy")
    create(root / "phantom", PhantomConfig(patients=6, height=128, width=96), workers=1)
    settings = [f"source.root={root / 'phantom'}", *(f"images.{item}" for item in IMAGES)]
    store = open_store(f"file://{root / 'store'}")
    run = begin_run(store, "policy", "phantom", settings)
    tables = steps.index(run)
    frame = steps.publish_features(run, tables=tables, images=steps.convert(run, tables=tables))
    data = training_data(
        frame_from_manifest(store, frame),
        read_table(store, tables, "images.parquet"),
        source="phantom",
        recipe="phantom",
        license="",
        weights="none",
        split="official",
    )
    assert data.policy == ImagePolicy(
        views={"ML": "warn"}, types={"synthetic": "on_request"}, implants="reject", partial="accept"
    )
    # The files below are drawn otherwise than the phantom.
    data = data.model_copy(update={"gray_levels": {}})
    return load(make_package(root / "package", training_data=data))


@pytest.fixture
def folder(tmp_path, write):
    for number, (name, (fields, _, _)) in enumerate(FILES.items()):
        write.dicom(tmp_path / f"files/{name}.dcm", write.breast(number), **fields)
    return tmp_path / "files"


@pytest.mark.parametrize("on_request", [False, True])
def test_scoring_does_what_the_recipe_of_the_package_says(package, folder, tmp_path, on_request):
    out = tmp_path / "s.json"
    summary = score(package, [folder], out, ScoreOptions(on_request=on_request))
    scored = {row["path"]: row["warnings"] for row in json.loads(out.read_text())["images"]}
    with summary.rejects.open(newline="") as file:
        rejected = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    for name, (_, action, cause) in FILES.items():
        path = f"{name}.dcm"
        if action == "reject" or (action == "on_request" and not on_request):
            assert path not in scored and f"{action}: {cause}" in rejected[path]
        else:
            messages = [warning["message"] for warning in scored[path]]
            assert path not in rejected
            assert (cause in messages) == (action != "accept"), path


@pytest.mark.parametrize("on_request", [False, True])
def test_serving_does_what_the_recipe_of_the_package_says(package, folder, on_request):
    config = ServeConfig(max_body_mb=0.25, max_images=4, on_request=on_request)
    app = create_app(package, "whole-image", "1", config)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        for name, (_, action, cause) in FILES.items():
            response = client.post("/score", content=(folder / f"{name}.dcm").read_bytes())
            result = response.json()
            if action == "reject" or (action == "on_request" and not on_request):
                assert response.status_code == 422, name
                assert f"{action}: {cause}" in result["error"]
            else:
                assert response.status_code == 200, result
                messages = [warning["message"] for warning in result["warnings"]]
                assert (cause in messages) == (action != "accept"), name


def test_what_the_policy_rejects_is_not_decoded(package, folder, tmp_path, write):
    """Without its pixels a file can be rejected by its policy, and by nothing that decodes."""
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:-4000])
    picture = write.png(tmp_path / "x.png", write.breast(1, bits=16))
    picture.write_bytes(picture.read_bytes()[:-100])
    stated = InputFile("x.png", path=picture, stated=StatedView("LEFT", "XCCL"))
    summary = score(package, [folder, stated], tmp_path / "s.csv")
    with summary.rejects.open(newline="") as file:
        rejected = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    assert "reject: implant" in rejected["implant.dcm"]
    assert "on_request: image type synthetic" in rejected["synthetic.dcm"]
    assert "on_request: view XCCL" in rejected["x.png"]
    for name in ("plain", "lateral", "partial"):
        assert "policy" not in rejected[f"{name}.dcm"]
    assert len(rejected) == 6
