"""SeaweedFS as the overlay `seaweedfs` starts it, with its arguments and its users."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.processes import free_port, start_child
from tests.support.server import S3Server, wait_for_answer

WEED = Path(__file__).resolve().parents[2] / ".tools" / "bin" / "weed"
_OVERLAY = Path(__file__).resolve().parents[2] / "manifests" / "overlays" / "seaweedfs"


@contextmanager
def run_seaweedfs(
    folder: Path,
    server: S3Server,
    roles: Mapping[str, tuple[str, str]] | None = None,
    more: tuple[str, ...] = (),
) -> Iterator[None]:
    """Run it at an endpoint of the loopback interface, on the data of a folder.

    Args:
        folder: For its data and log.
        server: Endpoint, and the keys of root.
        roles: Role → its access key and secret key.
        more: Arguments besides those of the overlay.
    """
    if not os.access(WEED, os.X_OK):
        pytest.skip("no SeaweedFS: `make seaweedfs` builds one")
    (folder / "data").mkdir(parents=True, exist_ok=True)
    container = _container()
    variables = {
        **{entry["name"]: entry["value"] for entry in container["env"]},
        "SEAWEEDFS_ROOT_USER": server.access_key,
        "SEAWEEDFS_ROOT_PASSWORD": server.secret_key,
    }
    for role, (access, secret) in (roles or {}).items():
        variables[f"{role.upper()}_MAMMO_S3_ACCESS_KEY"] = access
        variables[f"{role.upper()}_MAMMO_S3_SECRET_KEY"] = secret
    environment = {**os.environ, **variables, "HOME": str(folder)}
    command = [str(WEED), *_arguments(container["args"], folder, server.endpoint), *more]
    with (
        (folder / "log").open("ab") as log,
        start_child(command, env=environment, stdout=log, stderr=log, cwd=folder) as process,
    ):
        wait_for_answer(process, f"{server.endpoint}/healthz")
        yield


def _arguments(given: list[str], folder: Path, endpoint: str) -> list[str]:
    """Return the arguments of the overlay, with places of this machine and free ports."""
    replaced = {
        "-dir=/data": f"-dir={folder / 'data'}",
        "-master.volumeSizeLimitMB=1024": "-master.volumeSizeLimitMB=64",  # a full disk has few
        "-s3.ip.bind=0.0.0.0": "-s3.ip.bind=127.0.0.1",
        "-s3.port=8333": f"-s3.port={endpoint.rpartition(':')[2]}",
        "-s3.config=/identities/s3.json": f"-s3.config={_OVERLAY / 's3.json'}",
    }
    assert replaced.keys() <= set(given)
    names = ("master", "volume", "filer")
    ports = [f"-{name}.port{kind}={free_port()}" for name in names for kind in ("", ".grpc")]
    ports.append(f"-s3.port.grpc={free_port()}")
    return [*(replaced.get(word, word) for word in given), *ports]


def _container() -> dict[str, Any]:
    (container,) = [
        item["spec"]["template"]["spec"]["containers"][0]
        for item in yaml.safe_load_all((_OVERLAY / "seaweedfs.yaml").read_text())
        if item["kind"] == "StatefulSet"
    ]
    return dict(container)
