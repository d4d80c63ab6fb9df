"""`mammo doctor` against a Kubernetes API that answers with prepared objects.

What a pod sees of the object store: tests/manifests/test_initialize.py, on the real servers.
"""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipelines.doctor.checks import CheckResult
from pipelines.doctor.cluster import Cluster, Target
from pipelines.doctor.kubeflow import find_kubeflow
from pipelines.doctor.outside import OUTSIDE
from pipelines.doctor.pod import INSIDE, pod
from tests.manifests.test_manifests import violations
from tests.support.key_fixtures import make_key, write_policy

YAML = Path(__file__).parents[2] / "pipelines" / "yaml"
CORE = "/api/v1/namespaces/kubeflow"
ROLES = ("data", "train", "duel", "release", "score")
BINDING = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
POLICY = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"


def _secret(**values):
    return {"data": {key: base64.b64encode(text.encode()).decode() for key, text in values.items()}}


def _role(**changes):
    values = {
        "MAMMO_S3_ENDPOINT": "http://store:8333",
        "MAMMO_S3_ACCESS_KEY": "who",
        "MAMMO_S3_SECRET_KEY": "never-shown",
        "MAMMO_TRUST": "/etc/mammo/trust/trust.yaml",
    }
    return _secret(**{**values, **changes})


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """Path → object of a cluster that lacks nothing."""
    folder = tmp_path_factory.mktemp("key")
    key = make_key(folder, "site")
    trust = write_policy(folder / "trust.yaml", key).read_text()
    namespaces = {"matchExpressions": [{"values": ["mammo", "kubeflow"]}]}
    binding = {"spec": {"matchResources": {"namespaceSelector": namespaces}}}
    return {
        "/version": {"gitVersion": "v1.34.4", "major": "1", "minor": "34+"},
        "/api/v1/namespaces/mammo": {},
        CORE: {},
        f"{CORE}/serviceaccounts/mammo-run": {},
        **{f"{CORE}/secrets/mammo-s3-{role}": _role() for role in ROLES},
        f"{CORE}/secrets/mammo-signing-key": _secret(MAMMO_SIGNING_KEY=key.private.read_text()),
        f"{CORE}/secrets/mammo-site-key": _secret(MAMMO_SITE_KEY="never-shown"),
        f"{CORE}/configmaps/mammo-trust": {"data": {"trust.yaml": trust}},
        **{f"{BINDING}/{name}": binding for name in ("mammo-run-pods", "mammo-pods")},
        **{f"{POLICY}/{name}": {} for name in ("mammo-run-pods", "mammo-pods")},
        "/apis/networking.k8s.io/v1/namespaces/kubeflow/networkpolicies/mammo-steps": {},
        "/api/v1/nodes": {"items": [{"status": {"allocatable": {"nvidia.com/gpu": "2"}}}]},
        "/apis/authorization.k8s.io/v1/subjectaccessreviews": {"status": {"allowed": True}},
    }


@pytest.fixture
def target(healthy, tmp_path, monkeypatch):
    """`target(changes, **fields)`: the cluster with other objects (None: absent)."""
    objects = dict(healthy)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def _serve(self):
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            path = self.path.partition("?")[0]
            if body and body.get("kind") == "Pod":
                objects["pod"] = body
            name = "/mammo-doctor-"
            if name in path:  # the pod has a random name
                path = "log" if path.endswith("/log") else "status"
            answer = objects.get(path) if body is None or path in objects else {}
            if self.command == "DELETE":
                objects["deleted"] = objects.get("deleted", 0) + 1
                answer = {}
            text = answer if isinstance(answer, str) else json.dumps(answer or {})
            self.send_response(404 if answer is None else 200)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [
            {"name": "test", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
        ],
        "users": [{"name": "test", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(file))

    def make(changes=(), **fields):
        objects.update(changes)
        values = {
            "namespace": "kubeflow",
            "account": "mammo-run",
            "image": "mammo-pipelines/data:abc",
            "train_image": "",
            "signed": True,
            "gpus": 1,
            "wait_s": 5,
        }
        return Target(cluster=Cluster(), **{**values, **fields})

    yield make
    server.shutdown()
    server.server_close()


def _results(target) -> list[CheckResult]:
    return [result for check in OUTSIDE for result in check.run(target)]


def test_a_cluster_that_lacks_nothing_is_healthy(target):
    results = _results(target())
    assert {result.state for result in results} == {"ok"}, results
    assert len(results) == 10
    assert "never-shown" not in "".join(result.line() for result in results)


@pytest.mark.parametrize(
    ("changes", "name", "text", "remedy"),
    [
        (
            {"/version": {"gitVersion": "v1.29.1", "major": "1", "minor": "29"}},
            "Kubernetes",
            "v1.29.1",
            "1.30",
        ),
        ({CORE: None}, "namespace kubeflow", "is not there", "--namespace"),
        (
            {f"{CORE}/serviceaccounts/mammo-run": None},
            "service account mammo-run in kubeflow",
            "is not there",
            "overlays/kubeflow",
        ),
        (
            {"/apis/authorization.k8s.io/v1/subjectaccessreviews": {"status": {"allowed": False}}},
            "service account mammo-run in kubeflow",
            "may not create workflowtaskresults",
            "overlays/kubeflow",
        ),
        (
            {f"{CORE}/secrets/mammo-s3-train": None},
            "Secret mammo-s3-train in kubeflow",
            "is not there",
            "scripts/copy-secrets kubeflow",
        ),
        (
            {f"{CORE}/secrets/mammo-s3-data": _role(MAMMO_S3_SECRET_KEY="\n")},
            "Secret mammo-s3-data in kubeflow",
            "has no MAMMO_S3_SECRET_KEY",
            "copy-secrets",
        ),
        (
            {f"{CORE}/secrets/mammo-s3-data": _role(MAMMO_S3_ENDPOINT="store:8333")},
            "Secret mammo-s3-data in kubeflow",
            "no scheme",
            "http://",
        ),
        (
            {f"{CORE}/secrets/mammo-s3-data": _role(MAMMO_CA_BUNDLE="/etc/mammo/ca/ca.crt")},
            "ConfigMap mammo-ca in kubeflow",
            "has no ca.crt",
            "copy-secrets",
        ),
        (
            {f"{CORE}/configmaps/mammo-trust": None},
            "ConfigMap mammo-trust in kubeflow",
            "has no trust.yaml",
            "copy-secrets",
        ),
        (
            {f"{CORE}/secrets/mammo-signing-key": None},
            "Secret mammo-signing-key in kubeflow",
            "is not there",
            "packages.md",
        ),
        (
            {f"{CORE}/secrets/mammo-signing-key": _secret(MAMMO_SIGNING_KEY="not a key")},
            "Secret mammo-signing-key in kubeflow",
            "cannot be used",
            "usable key",
        ),
        (
            {f"{CORE}/secrets/mammo-site-key": None},
            "Secret mammo-site-key in kubeflow",
            "has no MAMMO_SITE_KEY",
            "make-secrets",
        ),
        (
            {f"{BINDING}/mammo-pods": None},
            "admission policy mammo-pods",
            "not in force",
            "manifests/base",
        ),
        (
            {"/apis/networking.k8s.io/v1/namespaces/kubeflow/networkpolicies/mammo-steps": None},
            "network policy mammo-steps in kubeflow",
            "is not there",
            "overlays/kubeflow",
        ),
        (
            {"/api/v1/nodes": {"items": [{"status": {"allocatable": {}}}]}},
            "GPUs",
            "a step asks for 1",
            "--gpu-count 0",
        ),
    ],
)
def test_what_is_missing_is_named_with_its_remedy(target, changes, name, text, remedy):
    (result,) = [item for item in _results(target(changes)) if item.state != "ok"]
    assert (result.state, result.name) == ("failed", name)
    assert text in result.text
    assert remedy in result.remedy


def test_a_key_that_the_policy_does_not_know_is_found(target, tmp_path):
    other = write_policy(tmp_path / "trust.yaml", make_key(tmp_path, "other")).read_text()
    changes = {f"{CORE}/configmaps/mammo-trust": {"data": {"trust.yaml": other}}}
    (result,) = [item for item in _results(target(changes)) if item.state != "ok"]
    assert "an unknown key" in result.text


def test_a_profile_that_the_admission_policy_does_not_name_is_found(target, healthy):
    profile = {path.replace("kubeflow", "team"): item for path, item in healthy.items()}
    (result,) = [item for item in _results(target(profile, namespace="team")) if item.state != "ok"]
    assert result.text == "does not hold in team"


def test_the_pod_reports_what_it_finds_and_is_removed(target):
    line = json.dumps(
        CheckResult("role data", "failed", "may not read sources", "apply").document()
    )
    changes = {"status": {"status": {"phase": "Succeeded"}}, "log": f"warming up\n{line}\n"}
    where = target(changes)
    image, reported = INSIDE.run(where)
    assert image.state == "ok"
    assert reported == CheckResult("role data", "failed", "may not read sources", "apply")


@pytest.mark.parametrize(
    ("status", "text", "remedy"),
    [
        (
            {
                "phase": "Pending",
                "containerStatuses": [
                    {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such"}}}
                ],
            },
            "ImagePullBackOff: no such",
            "push the image",
        ),
        (
            {
                "phase": "Pending",
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "message": "0/1 nodes: memory"}
                ],
            },
            "not scheduled: 0/1 nodes: memory",
            "free resources",
        ),
        ({"phase": "Running"}, "did not end within 1 s", "kubectl describe"),
    ],
)
def test_a_pod_that_does_not_run_is_named_with_its_remedy(target, status, text, remedy):
    (result,) = INSIDE.run(target({"status": {"status": status}}, wait_s=1))
    assert (result.state, result.name) == ("failed", "pod")
    assert text in result.text
    assert remedy in result.remedy


def test_the_pod_passes_the_restricted_profile():
    spec = pod("mammo-doctor-1", "a/data:b", "a/train:b", list(ROLES))["spec"]
    assert violations(spec) == []
    for container in (*spec["initContainers"], *spec["containers"]):
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["resources"]["limits"]["memory"]


def test_a_cluster_that_does_not_answer_is_unknown(target, monkeypatch):
    where = target()

    def refuse(*_, **__):
        raise OSError

    monkeypatch.setattr(where.cluster, "request", refuse)
    assert {result.state for result in _results(where)} == {"unknown"}


@pytest.mark.parametrize(
    ("version", "is_old"), [("abc", False), ("abc-signed", False), ("abd", True), ("ab", True)]
)
def test_a_version_of_the_tag_and_more_is_of_the_tag(server, connect_to, version, is_old):
    """Pipelines that check the signing key are uploaded as `TAG-signed`."""
    client = connect_to(server)
    for path in sorted(YAML.glob("*.yaml")):
        client.upload(path.read_text(), version)
    _, pipelines = find_kubeflow(lambda: client, "abc")
    assert pipelines.state == "ok"
    assert ("in another version" in pipelines.text) is is_old
