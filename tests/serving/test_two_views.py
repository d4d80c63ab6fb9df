"""The service of a model that sees both views of a breast."""

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
    with TestClient(create_app(two_views, "pairs", "1", config)) as client:
        yield client


@pytest.fixture
def expected(two_views, tmp_path):
    """The package's own probability of the views that are given as DICOM files."""

    def of(cc=None, mlo=None):
        pair = np.zeros((2, 64, 48), np.uint16)
        for place, data in enumerate((cc, mlo)):
            if data is not None:
                (tmp_path / "x").write_bytes(data)
                image = read_image(tmp_path / "x")
                pair[place] = two_views.preprocessing.from_source(
                    image.pixels, image.facts.bits_stored, "LEFT"
                )
        return float(two_views.predict(pair[np.newaxis])[0])

    return of


def breasts(count=2, seed=1):
    shape = (count, 2, 64, 48)
    return np.random.default_rng(seed).integers(0, 65536, shape).astype(np.uint16)


def tensor(name, pixels, **changes):
    given = {"name": name, "datatype": "UINT16", "shape": list(pixels.shape)}
    return given | {"data": pixels.ravel().tolist()} | changes


def test_metadata_names_both_views(client):
    told = client.get("/v2/models/pairs").json()
    assert [(one["name"], one["datatype"], one["shape"]) for one in told["inputs"]] == [
        ("cc", "UINT16", [-1, 64, 48]),
        ("mlo", "UINT16", [-1, 64, 48]),
        ("cc_image", "BYTES", [-1]),
        ("mlo_image", "BYTES", [-1]),
    ]
    assert told["parameters"]["unit"] == "breast"
    assert told["parameters"]["operating_point"] == "breast"


def test_two_files_of_a_form_are_one_breast(client, dicom_bytes, expected):
    cc, mlo = dicom_bytes(1, view="CC"), dicom_bytes(2, view="MLO")
    sent = [("file", ("x.dcm", mlo)), ("file", ("y.dcm", cc))]
    told = client.post("/score", files=sent).json()
    probability = expected(cc, mlo)
    assert told["malignant_probability"] == pytest.approx(probability, abs=2e-6)
    assert (told["laterality"], told["views"]) == ("LEFT", ["MLO", "CC"])
    assert told["operating_point"] == "breast"
    assert told["decision"] == ("positive" if probability >= 0.4 else "negative")
    assert [one["view"] for one in told["images"]] == ["MLO", "CC"]
    assert "malignant_probability" not in told["images"][0] and len(told["images"][0]["id"]) == 64
    assert not any("scored without" in one for one in told["warnings"])
    assert "PLANTED" not in json.dumps(told)


def test_one_view_alone(client, dicom_bytes, expected):
    mlo = dicom_bytes(2, view="MLO")
    told = client.post("/score?explain=1", content=mlo).json()
    assert told["malignant_probability"] == pytest.approx(expected(None, mlo), abs=2e-6)
    assert told["views"] == ["MLO"] and "scored without CC: there is none" in told["warnings"]
    assert isinstance(told["images"][0]["regions"], list)
    # Where the header does not tell the view, the name of the field does.
    unknown = dicom_bytes(2, view="")
    told = client.post("/score", files={"mlo": ("x.dcm", unknown)}).json()
    assert told["malignant_probability"] == pytest.approx(expected(None, mlo), abs=2e-6)


@pytest.mark.parametrize(
    ("status", "views", "fields", "told"),
    [
        (422, ("CC", "CC"), ("a", "b"), "not the views of one breast"),
        (422, ("",), ("file",), "view unknown"),
        (422, ("CC",), ("mlo",), "another view than the client says"),
        (400, ("CC", "MLO", "CC"), ("a", "b", "c"), "one to 2 files"),
    ],
    ids=["twice", "unknown", "contradicts", "three"],
)
def test_what_is_no_breast_is_refused(client, dicom_bytes, status, views, fields, told):
    sent = [
        (field, ("x.dcm", dicom_bytes(place, view=view)))
        for place, (field, view) in enumerate(zip(fields, views, strict=True))
    ]
    answer = client.post("/score", files=sent)
    assert answer.status_code == status and told in answer.json()["error"]


@pytest.mark.parametrize("names", [("cc", "mlo"), ("mlo", "cc"), ("cc",), ("mlo",)])
@pytest.mark.parametrize("binary", [False, True])
def test_inference_takes_both_views_or_one(client, two_views, names, binary):
    pair = breasts()
    for place, view in enumerate(("cc", "mlo")):
        if view not in names:
            pair[:, place] = 0
    inputs = [tensor(name, pair[:, ("cc", "mlo").index(name)]) for name in names]
    if binary:
        parts = [np.array(one.pop("data"), "<u2").tobytes() for one in inputs]
        for one, part in zip(inputs, parts, strict=True):
            one["parameters"] = {"binary_data_size": len(part)}
        text = json.dumps({"inputs": inputs}).encode()
        headers = {"inference-header-content-length": str(len(text))}
        answer = client.post(URL, content=text + b"".join(parts), headers=headers)
    else:
        answer = client.post(URL, json={"inputs": inputs})
    assert answer.status_code == 200, answer.text
    found = answer.json()["outputs"][0]["data"]
    np.testing.assert_allclose(found, two_views.predict(pair, 1), atol=1e-5)


def test_files_of_both_views(client, dicom_bytes, expected):
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
    answer = client.post(URL, json={"inputs": inputs})
    assert answer.status_code == 200, answer.text
    found = answer.json()["outputs"][0]["data"]
    np.testing.assert_allclose(found, [expected(cc, mlo), expected(None, mlo)], atol=1e-5)
    nothing = [{**inputs[0], "shape": [1], "data": [""]}]
    assert client.post(URL, json={"inputs": nothing}).status_code == 422


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
def test_wrong_inference_requests(client, status, inputs):
    answer = client.post(URL, json={"inputs": inputs})
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]
