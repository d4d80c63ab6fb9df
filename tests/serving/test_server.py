"""The command `mammo serve` as a process: clients of others, start and end."""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from server_thread import receive_response

from tests.support.processes import wait_until

pytestmark = pytest.mark.slow
JAVA = Path(__file__).parent / "java" / "Score.java"


def tensor(package, count, seed=1):
    geometry = package.preprocessing.geometry
    shape = (count, geometry.height, geometry.width)
    return np.random.default_rng(seed).integers(0, 65536, shape).astype(np.uint16)


def post(url, body, content_type="application/dicom"):
    request = urllib.request.Request(url, body, {"content-type": content_type})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.loads(response.read())


@pytest.fixture(scope="module")
def server(start):
    with start("--health-port", "0") as running:
        yield running


def test_the_start_says_what_is_open(server):
    log = server.log.read_text()
    assert "no authentication" in log and "no TLS" in log
    # The last line of the start, once the port is open.
    assert urllib.request.urlopen(f"{server.url}/v2").status == 200
    url = f"http://127.0.0.1:{server.health_port}"
    ready = json.load(urllib.request.urlopen(f"{url}/v2/health/ready"))
    assert ready == {"live": True, "ready": True}
    assert b"mammo_model{" in urllib.request.urlopen(f"{url}/metrics").read()
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{url}/score", b"x")
    assert caught.value.code == 405


def test_tritonclient_gets_the_score(server, package, dicom_bytes):
    """A client from PyPI uses the protocol with binary tensors and JSON."""
    from tritonclient import http

    pixels = tensor(package, 2)
    expected = package.predict(pixels)
    with http.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        assert client.is_server_live() and client.is_server_ready()
        assert client.is_model_ready("whole-image")
        assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
        metadata = client.get_model_metadata("whole-image", "1")
        assert metadata["inputs"][0]["name"] == "pixels"
        for binary in (True, False):
            pixel_input = http.InferInput("pixels", list(pixels.shape), "UINT16")
            pixel_input.set_data_from_numpy(pixels, binary_data=binary)
            output = http.InferRequestedOutput("malignant_probability", binary_data=binary)
            result = client.infer("whole-image", [pixel_input], outputs=[output])
            np.testing.assert_allclose(
                result.as_numpy("malignant_probability"), expected, atol=1e-5
            )
        result = client.infer("whole-image", [pixel_input])  # all outputs, in the default format
        np.testing.assert_allclose(result.as_numpy("malignant_probability"), expected, atol=1e-5)
        file = http.InferInput("image", [1], "BYTES")
        file.set_data_from_numpy(np.array([dicom_bytes(1)], dtype=object))
        result = client.infer("whole-image", [file], model_version="1")
        score = post(f"{server.url}/score", dicom_bytes(1))
        assert result.as_numpy("malignant_probability")[0] == pytest.approx(
            score["malignant_probability"], abs=2e-6
        )


def test_the_client_of_kserve_gets_the_score(server, package):
    """KServe's REST client, with binary tensors and with JSON."""
    from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

    pixels = tensor(package, 2)

    async def use():
        client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=60))
        states = [
            await client.is_server_live(server.url),
            await client.is_server_ready(server.url),
            await client.is_model_ready(server.url, "whole-image"),
        ]
        results = []
        for binary in (True, False):
            pixel_input = InferInput("pixels", list(pixels.shape), "UINT16")
            pixel_input.set_data_from_numpy(pixels, binary_data=binary)
            request = InferRequest("whole-image", [pixel_input], request_id="7")
            results.append(await client.infer(server.url, request, model_name="whole-image"))
        await client.close()
        return states, results

    states, results = asyncio.run(use())
    assert states == [True, True, True]
    for result in results:
        assert result.id == "7"
        [probability, _] = result.outputs
        np.testing.assert_allclose(probability.as_numpy(), package.predict(pixels), atol=1e-5)


@pytest.mark.skipif(shutil.which("javac") is None, reason="needs a JDK")
def test_the_client_of_java_gets_the_score(server, dicom_bytes, tmp_path):
    """Its first request asks for h2c (`Upgrade`); two requests over one connection."""
    (tmp_path / "image.dcm").write_bytes(dicom_bytes(1))
    command = ["java", str(JAVA), f"{server.url}/score", str(tmp_path / "image.dcm")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stderr
    score = post(f"{server.url}/score", dicom_bytes(1))
    for line in lines:
        status, _, body = line.partition(" HTTP_1_1 ")
        assert status == "200"
        assert json.loads(body)["malignant_probability"] == score["malignant_probability"]


def test_a_stopped_server_completes_its_requests_or_says_that_it_cannot(start, dicom_bytes):
    data = dicom_bytes(1)
    head = (
        "POST /score HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/dicom\r\n"
        f"content-length: {len(data)}\r\n\r\n"
    ).encode()
    with start("--grace-s", "8", "--health-port", "0") as server:
        address = ("127.0.0.1", server.port)
        with (
            socket.create_connection(address, timeout=60) as completed,
            socket.create_connection(address, timeout=60) as cut_off,
        ):
            for client in (completed, cut_off):
                client.sendall(head + data[:5000])
            url = f"http://127.0.0.1:{server.health_port}"
            wait_until(
                lambda: (
                    b"in_flight 2.0" in urllib.request.urlopen(f"{url}/metrics", timeout=20).read()
                )
            )
            server.stop()
            wait_until(lambda: not accepts(address))
            # Alive, but not ready.
            assert urllib.request.urlopen(f"{url}/v2/health/live", timeout=20).status == 200
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(f"{url}/v2/health/ready", timeout=20)
            completed.sendall(data[5000:])
            status, content = receive_response(completed)
            assert status == 200 and "malignant_probability" in content
            status, content = receive_response(cut_off)
            assert status == 503 and content["problem"] == "The server stops"
        assert server.process.wait(60) == 0
        log = server.log.read_text()
        assert log.rstrip().endswith("stopped") and "Traceback" not in log and "/work" not in log


def accepts(address):
    try:
        with socket.create_connection(address, timeout=20):
            return True
    except OSError:
        return False


def test_a_modified_package_is_not_served(served_package, tmp_path):
    from mammo_core.registry import open_package

    shutil.copytree(open_package(served_package).folder, tmp_path / "package")
    with (tmp_path / "package/model.keras").open("r+b") as file:
        file.seek(100)
        byte = file.read(1)
        file.seek(100)
        file.write(bytes([byte[0] ^ 1]))
    code = "from mammo_core.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "serve", "--model", str(tmp_path / "package"), "--port", "0"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    assert "model.keras was changed" in done.stderr and "Traceback" not in done.stderr
