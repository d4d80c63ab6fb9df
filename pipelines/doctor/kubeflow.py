"""What the doctor asks Kubeflow Pipelines (KFP)."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import urllib3

from mammo_core.documents import parse_json
from mammo_core.errors import MammoError
from pipelines.doctor.checks import CheckResult

if TYPE_CHECKING:
    from pipelines.client import KfpClient
    from pipelines.connection import KfpSettings

_OLDEST: Final = (2, 15)
_NAME: Final = "Kubeflow Pipelines"
_TIMEOUT_S: Final = 20.0


def find_kubeflow(connect: "Callable[[], KfpClient]", tag: str) -> list[CheckResult]:
    """Return whether KFP answers, its version, and whether our pipelines are there.

    Args:
        connect: Returns a client.
        tag: Version of our pipelines, the tag of the container images.
    """
    try:
        client = connect()
        version = _version(client.settings)
        present = {name: latest for name, _, latest in client.pipelines()}
    except MammoError as error:
        remedy = "kubectl -n kubeflow port-forward svc/ml-pipeline 8888:8888, and --host"
        return [CheckResult(_NAME, "failed", str(error).rstrip("."), remedy)]
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if not numbers:
        first = CheckResult(_NAME, "unknown", "answers without its version")
    elif numbers < _OLDEST:
        first = CheckResult(_NAME, "failed", version, "use 2.15 or newer")
    else:
        first = CheckResult(_NAME, "ok", version)
    missing = sorted(
        name
        for name in ("mammo-train", "mammo-retrain", "mammo-transfer", "mammo-score")
        if name not in present
    )
    if missing:
        text = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not uploaded"
        return [first, CheckResult("pipelines", "absent", text, "mammo pipeline upload")]
    # A version is named by the tag, or by the tag and more: `-signed`, the digest of its content.
    old = sorted(
        name
        for name, latest in present.items()
        if "mammo-" in name and latest != tag and not latest.startswith(f"{tag}-")
    )
    text = f"uploaded; {', '.join(old)} last in another version than {tag}" if old else "uploaded"
    return [first, CheckResult("pipelines", "ok", text)]


def _version(settings: "KfpSettings") -> str:
    """Return the version that KFP names; empty where it names none. The SDK leaves it out."""
    token = settings.bearer()
    pool = urllib3.PoolManager(
        ca_certs=str(settings.ca_cert) if settings.ca_cert else None,
        cert_reqs="CERT_REQUIRED" if settings.verify_tls else "CERT_NONE",
        retries=False,
        timeout=_TIMEOUT_S,
    )
    url = f"{settings.host.rstrip('/')}/apis/v2beta1/healthz"
    try:
        answer = pool.request(
            "GET", url, headers={"Authorization": f"Bearer {token}"} if token else None
        )
        return str(parse_json(answer.data).get("tag_name") or "")
    except (urllib3.exceptions.HTTPError, ValueError, AttributeError):
        return ""
