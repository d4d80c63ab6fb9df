"""The service of a model of both views of a breast."""

import base64
import json

import numpy as np
import pytest
from starlette.testclient import TestClient

from mammo_core.dicom import read_image
from mammo_core.serving import ServeConfig
from mammo_core.serving.app import create_app

URL = "/v2/models/pairs/infer"


@pytest.fixture(scope="module")
def client(two_views):
    config = ServeConfig(max_body_mb=0.25, max_json_mb=0.2, max_images=4)
    with TestClient(
        create_app(two_views, "pairs", "1", config), base_url="http://127.0.0.1"
    ) as client:
        yield client


@pytest.fixture
def expected(two_views, tmp_path):
    """Return a function that returns the probability of the package for DICOM files."""

    def predict(cc=None, mlo=None):
        pair = np.zeros((2, 64, 48), np.uint16)
        for index, data in enumerate((cc, mlo)):
            if data is not None:
                (tmp_path / "x").write_bytes(data)
                image = read_image(tmp_path / "x")
                pair[index] = two_views.preprocessing.from_source(
                    image.pixels, image.facts.bits_stored, "LEFT"
                )
        return float(two_views.predict(pair[np.newaxis])[0])

    return predict


def breasts(count=2, seed=1):
    shape = (count, 2, 64, 48)
    return np.random.default_rng(seed).integers(0, 65536, shape).astype(np.uint16)


def tensor(name, pixels, **changes):
    values = {"name": name, "datatype": "UINT16", "shape": list(pixels.shape)}
    return values | {"data": pixels.ravel().tolist()} | changes


def test_metadata_names_both_views(client):
    result = client.get("/v2/models/pairs").json()
    assert [(item["name"], item["datatype"], item["shape"]) for item in result["inputs"]] == [
        ("cc", "UINT16", [-1, 64, 48]),
        ("mlo", "UINT16", [-1, 64, 48]),
        ("cc_image", "BYTES", [-1]),
        ("mlo_image", "BYTES", [-1]),
    ]
    assert result["parameters"]["unit"] == "breast"
    assert result["parameters"]["operating_point"] == "breast"


def test_two_files_in_a_form_are_one_breast(client, dicom_bytes, expected):
    cc, mlo = dicom_bytes(1, view="CC"), dicom_bytes(2, view="MLO")
    sent = [("file", ("x.dcm", mlo)), ("file", ("y.dcm", cc))]
    result = client.post("/score", files=sent).json()
    probability = expected(cc, mlo)
    assert result["malignant_probability"] == pytest.approx(probability, abs=2e-6)
    assert (result["laterality"], result["views"]) == ("LEFT", ["MLO", "CC"])
    assert result["operating_point"] == "breast"
    assert result["decision"] == ("positive" if probability >= 0.4 else "negative")
    assert [image["view"] for image in result["images"]] == ["MLO", "CC"]
    assert (
        "malignant_probability" not in result["images"][0] and len(result["images"][0]["id"]) == 64
    )
    assert "scored without" not in str(result["warnings"])
    assert "PLANTED" not in json.dumps(result)


def test_a_single_view_is_scored(client, dicom_bytes, expected):
    mlo = dicom_bytes(2, view="MLO")
    result = client.post("/score?explain=1", content=mlo).json()
    assert result["malignant_probability"] == pytest.approx(expected(None, mlo), abs=2e-6)
    assert result["views"] == ["MLO"]
    assert "scored without CC: no such view" in str(result["warnings"])
    assert isinstance(result["images"][0]["regions"], list)
    # If the header has no view, the name of the form field is used.
    unknown = dicom_bytes(2, view="")
    result = client.post("/score", files={"mlo": ("x.dcm", unknown)}).json()
    assert result["malignant_probability"] == pytest.approx(expected(None, mlo), abs=2e-6)


@pytest.mark.parametrize(
    ("status", "views", "fields", "reason"),
    [
        (422, ("CC", "CC"), ("a", "b"), "not the views of one breast"),
        (422, ("",), ("file",), "view unknown"),
        (422, ("CC",), ("mlo",), "differs from the view that the client states"),
        (400, ("CC", "MLO", "CC"), ("a", "b", "c"), "one to 2 files"),
    ],
    ids=["twice", "unknown", "contradicts", "three"],
)
def test_files_that_are_not_one_breast_are_rejected(
    client, dicom_bytes, status, views, fields, reason
):
    sent = [
        (field, ("x.dcm", dicom_bytes(seed, view=view)))
        for seed, (field, view) in enumerate(zip(fields, views, strict=True))
    ]
    response = client.post("/score", files=sent)
    assert response.status_code == status and reason in response.json()["error"]


def test_views_of_two_exams_are_not_one_breast(client, dicom_bytes):
    study = "1.2.826.0.1.3680043.8.498.7"
    sent = [
        ("cc", ("x.dcm", dicom_bytes(1, view="CC", StudyInstanceUID=f"{study}.1"))),
        ("mlo", ("y.dcm", dicom_bytes(2, view="MLO", StudyInstanceUID=f"{study}.2"))),
    ]
    response = client.post("/score", files=sent)
    assert response.status_code == 422 and response.json()["received"] == "images of 2 exams"
    assert study not in response.text
    # A view that the policy holds back is not scored in place of the standard one.
    spot = client.post("/score", content=dicom_bytes(1, view="SCC"))
    assert spot.status_code == 422 and "view modifier spot compression" in spot.text


@pytest.mark.parametrize("names", [("cc", "mlo"), ("mlo", "cc"), ("cc",), ("mlo",)])
@pytest.mark.parametrize("binary", [False, True])
def test_inference_accepts_one_or_both_views(client, two_views, names, binary):
    pair = breasts()
    for index, view in enumerate(("cc", "mlo")):
        if view not in names:
            pair[:, index] = 0
    inputs = [tensor(name, pair[:, ("cc", "mlo").index(name)]) for name in names]
    if binary:
        parts = [np.array(item.pop("data"), "<u2").tobytes() for item in inputs]
        for item, part in zip(inputs, parts, strict=True):
            item["parameters"] = {"binary_data_size": len(part)}
        text = json.dumps({"inputs": inputs}).encode()
        headers = {"inference-header-content-length": str(len(text))}
        response = client.post(URL, content=text + b"".join(parts), headers=headers)
    else:
        response = client.post(URL, json={"inputs": inputs})
    assert response.status_code == 200, response.text
    probabilities = response.json()["outputs"][0]["data"]
    np.testing.assert_allclose(probabilities, two_views.predict(pair, 1), atol=1e-5)


def test_inference_with_files_of_both_views(client, dicom_bytes, expected):
    cc, mlo = dicom_bytes(1, view="CC"), dicom_bytes(2, view="MLO")
    sent = {"cc_image": [cc, b""], "mlo_image": [mlo, mlo]}
    inputs = [
        {
            "name": name,
            "datatype": "BYTES",
            "shape": [2],
            "data": [base64.b64encode(data).decode() for data in files],
        }
        for name, files in sent.items()
    ]
    response = client.post(URL, json={"inputs": inputs})
    assert response.status_code == 200, response.text
    probabilities = response.json()["outputs"][0]["data"]
    np.testing.assert_allclose(probabilities, [expected(cc, mlo), expected(None, mlo)], atol=1e-5)
    empty = [{**inputs[0], "shape": [1], "data": [""]}]
    assert client.post(URL, json={"inputs": empty}).status_code == 422


@pytest.mark.parametrize(
    ("status", "inputs"),
    [
        (400, [tensor("pixels", breasts(1)[:, 0])]),
        (400, [tensor("cc", breasts(1)[:, 0]), tensor("cc", breasts(1)[:, 0])]),
        (400, [tensor("cc", breasts(1)[:, 0]), tensor("mlo", breasts(2)[:, 1])]),
        (400, [tensor("cc", breasts(3)[:, 0]), tensor("mlo", breasts(3)[:, 1])]),
        (400, [tensor("cc", breasts(1)[:, 0]), tensor("mlo_image", breasts(1)[:, 1])]),
        (422, [tensor("cc", np.zeros((1, 64, 48), np.uint16))]),
        (422, [tensor("mlo", np.ones((1, 48, 64), np.uint16))]),
    ],
    ids=["one-image", "twice", "counts", "many", "kinds", "nothing", "size"],
)
def test_invalid_inputs_are_rejected(client, status, inputs):
    response = client.post(URL, json={"inputs": inputs})
    assert response.status_code == status, response.text
    assert response.json()["error"]
