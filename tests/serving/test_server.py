"""The command `mammo serve` as a process: clients, load, shutdown."""

import asyncio
import json
import socket
import time
import urllib.error
import urllib.request
from collections import Counter

import numpy as np
import pytest

pytestmark = pytest.mark.slow


def tensor(package, count, seed=1):
    geometry = package.preprocessing.geometry
    shape = (count, geometry.height, geometry.width)
    return np.random.default_rng(seed).integers(0, 65536, shape).astype(np.uint16)


def post(url, body, content_type="application/dicom"):
    request = urllib.request.Request(url, body, {"content-type": content_type})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


@pytest.fixture(scope="module")
def server(start):
    with start("--max-body-mb", "0.5", "--idle-s", "1.5") as running:
        yield running


def test_tritonclient_gets_the_score(server, package, dicom_bytes):
    """A client from PyPI uses the protocol with binary tensors and JSON."""
    from tritonclient import http

    pixels = tensor(package, 2)
    expected = package.predict(pixels)
    with http.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        assert client.is_server_live() and client.is_server_ready()
        assert client.is_model_ready("whole-image")
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
        _, score = post(f"{server.url}/score", dicom_bytes(1))
        assert result.as_numpy("malignant_probability")[0] == pytest.approx(
            score["malignant_probability"], abs=2e-6
        )


def test_200_concurrent_requests_valid_damaged_large_and_slow(server, package, dicom_bytes):
    """All get the right status; the second round uses no more memory than the first."""
    import httpx

    valid, damaged, large = dicom_bytes(1), dicom_bytes(2)[:4000], b"x" * 1_000_000
    infer_body = {
        "inputs": [
            {"name": "pixels", "datatype": "UINT16", "shape": [1, 48, 36],
             "data": tensor(package, 1).ravel().tolist()}
        ]
    }  # fmt: skip

    async def stalled():
        yield b"x" * 100
        await asyncio.sleep(4)
        yield b"x"

    async def dripped():
        for start in range(0, len(valid), 4000):
            yield valid[start : start + 4000]
            await asyncio.sleep(0.2)

    async def send_all():
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=server.url, limits=limits, timeout=120) as client:

            async def send(kind):
                requests = {
                    "valid": lambda: client.post("/score", content=valid),
                    "infer": lambda: client.post("/v2/models/whole-image/infer", json=infer_body),
                    "damaged": lambda: client.post("/score", content=damaged),
                    "large": lambda: client.post("/score", content=large),
                    "stalled": lambda: client.post("/score", content=stalled()),
                    "dripped": lambda: client.post("/score", content=dripped()),
                    "wrong": lambda: client.post("/v2/models/whole-image/infer", content=b"{"),
                    "none": lambda: client.post("/v2/models/other/infer", json=infer_body),
                }
                return kind, (await requests[kind]()).status_code

            kinds = ["valid", "infer", "damaged", "large", "stalled", "dripped", "wrong", "none"]
            return Counter(await asyncio.gather(*(send(kind) for kind in kinds * 25)))

    expected = {
        ("valid", 200): 25,
        ("infer", 200): 25,
        ("damaged", 422): 25,
        ("large", 413): 25,
        ("stalled", 408): 25,
        ("dripped", 200): 25,
        ("wrong", 400): 25,
        ("none", 404): 25,
    }
    assert asyncio.run(send_all()) == expected
    first = server.memory_mb()
    assert asyncio.run(send_all()) == expected
    assert server.memory_mb() < first + 60
    assert server.process.poll() is None
    text = urllib.request.urlopen(f"{server.url}/metrics").read().decode()
    assert "mammo_requests_in_flight 0.0" in text
    assert 'mammo_requests_total{route="/score",status="413"} 50.0' in text


def test_a_stopped_server_completes_its_requests(start, dicom_bytes):
    data = dicom_bytes(1)
    with start() as server:
        head = (
            "POST /score HTTP/1.1\r\nhost: x\r\ncontent-type: application/dicom\r\n"
            f"content-length: {len(data)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
            client.sendall(head.encode() + data[:5000])
            time.sleep(0.5)
            server.stop()
            time.sleep(1)
            with pytest.raises(OSError):
                urllib.request.urlopen(f"{server.url}/v2/health/live", timeout=5)
            assert server.process.poll() is None
            client.sendall(data[5000:])
            response = b""
            while chunk := client.recv(65536):
                response += chunk
        assert response.startswith(b"HTTP/1.1 200") and b"malignant_probability" in response
        assert server.process.wait(30) == 0
        log = server.log.read_text()
        assert log.rstrip().endswith("stopped") and "Traceback" not in log


def test_a_modified_package_is_not_served(served_package, tmp_path, monkeypatch):
    import shutil
    import subprocess
    import sys

    from mammo_core.registry import resolve

    shutil.copytree(resolve(served_package), tmp_path / "package")
    with (tmp_path / "package/model.keras").open("r+b") as file:
        file.seek(100)
        byte = file.read(1)
        file.seek(100)
        file.write(bytes([byte[0] ^ 1]))
    code = "from mammo_core.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "serve", "--model", str(tmp_path / "package")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    assert "model.keras was changed" in done.stderr and "Traceback" not in done.stderr
