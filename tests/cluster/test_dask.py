"""Dask on a real Kubernetes: the overlay, a conversion on it, pods that are deleted in the middle.

Needs the image mammo-pipelines/data:TAG on the node (MAMMO_DASK_TAG, default test), and a node
whose pods reach this machine's loopback interface (MAMMO_HOST_NAME, default host.default).
"""

import json
import os
import secrets
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from mammo_core.ingest import ConvertConfig, RunnerConfig, convert
from mammo_core.preprocessing import Geometry
from mammo_core.store import open_store
from tests.support.ingest import published_digests, read_tables
from tests.support.s3 import run_minio
from tests.support.server import S3Server

NAMESPACE = "mammo-dask"
TAG = os.environ.get("MAMMO_DASK_TAG", "test")
HOST = os.environ.get("MAMMO_HOST_NAME", "host.default")
REPOSITORY = Path(__file__).resolve().parents[2]
KINDS = ("Service", "Deployment", "ServiceAccount", "NetworkPolicy")


@pytest.fixture
def namespace(kubectl):
    """A new namespace under the restricted profile; removed at the end."""
    gone = ("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=300s")
    kubectl(*gone)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": NAMESPACE, "labels": labels}
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    kubectl("apply", "-f", "-", text=json.dumps(manifest))
    yield NAMESPACE
    kubectl(*gone)


@pytest.fixture
def server(tmp_path):
    """A MinIO on this machine."""
    from tests.support.processes import free_port

    keys = f"test-{secrets.token_hex(6)}", secrets.token_hex(20)
    server = S3Server("minio", f"http://127.0.0.1:{free_port()}", *keys)
    with run_minio(tmp_path, server):
        yield server


def overlay():
    """The objects of the overlay that are Dask's, in the namespace of this test."""
    line = [REPOSITORY / "scripts" / "render-manifests", "overlays/dask", TAG]
    text = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    objects = [item for item in yaml.safe_load_all(text) if item and item["kind"] in KINDS]
    chosen = [
        item
        for item in objects
        if "dask" in item["metadata"]["name"] or item["metadata"]["name"] == "mammo-job"
    ]
    assert len(chosen) == 6
    for item in chosen:
        item["metadata"]["namespace"] = NAMESPACE
        if item["kind"] == "Deployment":  # a node of two processors
            (container,) = item["spec"]["template"]["spec"]["containers"]
            container["resources"]["requests"]["cpu"] = "50m"
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": chosen})


def test_a_conversion_survives_deleted_pods(kubectl, namespace, server, tmp_path, monkeypatch):
    from mammo_core.phantom import PhantomConfig, create

    for name, value in {
        "MAMMO_S3_ENDPOINT": server.endpoint,
        "MAMMO_S3_ACCESS_KEY": server.access_key,
        "MAMMO_S3_SECRET_KEY": server.secret_key,
    }.items():
        monkeypatch.setenv(name, value)
    tree = tmp_path / "phantom"
    create(tree, PhantomConfig(patients=30, seed=2, height=288, width=224), workers=1)
    source = open_store("s3://mammo-sources/phantom")
    for path in sorted(path for path in tree.rglob("*") if path.is_file()):
        source.write(str(path.relative_to(tree)), path.read_bytes())
    credentials = {
        "MAMMO_S3_ENDPOINT": server.endpoint.replace("127.0.0.1", HOST),
        "MAMMO_S3_ACCESS_KEY": server.access_key,
        "MAMMO_S3_SECRET_KEY": server.secret_key,
    }
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "mammo-s3-data", "namespace": NAMESPACE},
        "stringData": credentials,
    }
    kubectl("apply", "-f", "-", text=json.dumps(secret))
    kubectl("apply", "-f", "-", text=overlay())
    for name in ("dask-scheduler", "dask-worker"):
        kubectl("-n", NAMESPACE, "rollout", "status", f"deployment/{name}", "--timeout=300s")
    kubectl("apply", "-f", "-", text=json.dumps(job()))

    store = open_store("s3://mammo/dask")
    notes = wait_for(lambda: [key for key in store.list("") if "/notes/shard" in key])
    pods = kubectl("-n", NAMESPACE, "get", "pods", "-o", "name").split()
    worker = next(pod for pod in pods if "dask-worker" in pod)
    kubectl("-n", NAMESPACE, "delete", worker, "--grace-period=0", "--force", "--wait=false")
    scheduler = next(pod for pod in pods if "dask-scheduler" in pod)
    kubectl("-n", NAMESPACE, "delete", scheduler, "--grace-period=0", "--force", "--wait=false")
    print(f"deleted {worker} and {scheduler} after {len(notes)} shards")
    status = wait_for(lambda: ended(kubectl), 900)
    log = kubectl("-n", NAMESPACE, "logs", "job/convert")
    print(log)
    assert status.get("succeeded"), log
    assert "[dask] the scheduler was lost" in log
    reference = open_store(str(tmp_path / "direct"))
    tables = read_tables(tree)
    convert(
        reference,
        tables.images,
        tables.lesions,
        root=tree,
        config=ConvertConfig(geometry=Geometry(height=288, width=224), shard_mb=1),
        runner=RunnerConfig(workers=1),
        lineage={"tables": "t"},
    )
    assert shards(store) == shards(reference) and len(shards(store)) > 5


def shards(store):
    """The digests of the shards; the manifests name the tables of their sources."""
    return sorted(digest for key, digest in published_digests(store).items() if "/shard-" in key)


def job():
    """A Job that converts on Dask, as a step of ours would."""
    words = ["mammo", "convert", "--recipe", "phantom", "--store", "s3://mammo/dask"]
    words += ["--source", "s3://mammo-sources/phantom"]
    settings = ("convert.shard_mb=1", "runner.runner=dask")
    settings += ("runner.address=tcp://dask-scheduler:8786",)
    container = {
        "name": "main",
        "image": f"mammo-pipelines/data:{TAG}",
        "command": [*words, *(word for item in settings for word in ("--set", item))],
        "envFrom": [{"secretRef": {"name": "mammo-s3-data"}}],
        "resources": {"requests": {"cpu": "50m"}, "limits": {"memory": "2Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
    }
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "convert", "namespace": NAMESPACE},
        "spec": {"backoffLimit": 0, "template": {"spec": pod}},
    }


def ended(kubectl):
    status = json.loads(kubectl("-n", NAMESPACE, "get", "job", "convert", "-o", "json"))["status"]
    return status if status.get("succeeded") or status.get("failed") else None


def wait_for(condition, seconds=300):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(1)
    return value
