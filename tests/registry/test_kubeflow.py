"""Registration in a Kubeflow Model Registry, against a server that checks its requests."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from mammo_core.errors import StoreError
from mammo_core.packaging import PackageManifest
from mammo_core.registry.kubeflow import ModelRegistry

API = "/api/model_registry/v1alpha3"
MANIFEST = PackageManifest(format=3, name="m", model_id="a" * 64, versions={})


class Registry(ThreadingHTTPServer):
    """The three resources of the API (v1alpha3), as its OpenAPI file describes them."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.models, self.versions, self.artifacts = {}, {}, {}
        self.calls, self.busy, self.token = [], 0, ""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def _send(self, status, content):
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _begin(self):
        parts = urlsplit(self.path)
        self.server.calls.append((self.command, parts.path))
        if self.server.busy:
            self.server.busy -= 1
            self._send(503, {"code": "", "message": "busy"})
            return None
        if self.server.token and self.headers["authorization"] != f"Bearer {self.server.token}":
            self._send(401, {"code": "", "message": "who?"})
            return None
        assert parts.path.startswith(API)
        query = {name: value[0] for name, value in parse_qs(parts.query).items()}
        return parts.path.removeprefix(API), query

    def do_GET(self):
        request = self._begin()
        if request is None:
            return
        path, query = request
        kept = {
            "/registered_model": self.server.models,
            "/model_version": self.server.versions,
            "/model_artifact": self.server.artifacts,
        }[path]
        for resource in kept.values():
            same_parent = resource["parent"] == query.get("parentResourceId")
            if resource["name"] == query["name"] and same_parent:
                self._send(200, resource)
                return
        self._send(404, {"code": "404", "message": "not found"})

    def do_POST(self):
        request = self._begin()
        if request is None:
            return
        path, _ = request
        assert self.headers["content-type"] == "application/json"
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if path == "/registered_models":
            kept, parent = self.server.models, None
        elif path == "/model_versions":
            kept, parent = self.server.versions, body["registeredModelId"]
            assert parent in self.server.models
            for value in body["customProperties"].values():
                assert set(value) == {"metadataType", "string_value"}
        else:
            parent = path.split("/")[2]
            assert path == f"/model_versions/{parent}/artifacts"
            assert parent in self.server.versions
            assert body["artifactType"] == "model-artifact"
            kept = self.server.artifacts
        number = str(len(kept) + 1)
        kept[number] = {**body, "id": number, "parent": parent}
        self._send(201, kept[number])


@pytest.fixture
def server():
    with Registry() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield running
        running.shutdown()


def test_a_version_is_registered_once(server):
    registry = ModelRegistry(server.url)
    first = registry.register("phantom", 3, "s3://mammo/models/phantom/3", MANIFEST, "unsigned")
    assert first == {"registered_model": "1", "model_version": "1", "artifact": "1"}
    assert (
        registry.register("phantom", 3, "s3://mammo/models/phantom/3", MANIFEST, "unsigned")
        == first
    )
    second = registry.register("phantom", 4, "s3://mammo/models/phantom/4", MANIFEST, "unsigned")
    assert second["registered_model"] == "1" and second["model_version"] == "2"
    assert server.versions["1"]["name"] == "3"
    properties = server.versions["1"]["customProperties"]
    assert properties["model_id"]["string_value"] == "a" * 64
    assert server.artifacts["1"]["uri"] == "s3://mammo/models/phantom/3"
    assert sum(method == "POST" for method, _ in server.calls) == 5


def test_a_busy_registry_is_retried_and_a_dead_one_is_an_error(server):
    server.busy = 2
    ModelRegistry(server.url).register("m", 1, "s3://x/models/m/1", MANIFEST, "unsigned")
    server.busy = 100
    with pytest.raises(StoreError, match="status 503"):
        ModelRegistry(server.url).register("m", 2, "s3://x/models/m/2", MANIFEST, "unsigned")


def test_a_token_is_sent_and_never_appears_in_an_error(server):
    server.token = "secret-token"
    environment = {"MAMMO_MODEL_REGISTRY": server.url, "MAMMO_MODEL_REGISTRY_TOKEN": "secret-token"}
    ModelRegistry.from_environment(environment).register(
        "m", 1, "s3://x/models/m/1", MANIFEST, "unsigned"
    )
    with pytest.raises(StoreError, match="status 401") as refused:
        ModelRegistry(server.url, "wrong-token").register(
            "m", 1, "s3://x/models/m/1", MANIFEST, "unsigned"
        )
    assert "token" not in str(refused.value)


def test_no_registry_and_invalid_addresses():
    assert ModelRegistry.from_environment({}) is None
    for address in ("model-registry:8080", "ftp://x", "http://user:secret@host"):
        with pytest.raises(StoreError, match="cannot be used") as error:
            ModelRegistry(address)
        assert "secret" not in str(error.value)
