"""What can be seen of a cluster from outside: objects, accounts, Secrets and keys."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mammo_core.packaging.signatures.keys import KEY
from mammo_core.packaging.signatures.trust import TRUST
from mammo_core.store.certificates import CA_BUNDLE
from pipelines.doctor.checks import Check, CheckResult
from pipelines.doctor.cluster import Target
from pipelines.platform import STEPS
from pipelines.roles import secret_of

if TYPE_CHECKING:
    from mammo_core.packaging.signatures.keys import SigningKey

_COPY: Final = "scripts/copy-secrets {}"
#: What KFP's driver and launcher and Argo's executor ask of the account of a run.
_RIGHTS: Final = (
    ("create", "workflowtaskresults", "argoproj.io"),
    ("patch", "workflowtaskresults", "argoproj.io"),
    ("get", "pods", ""),
)
_POLICIES: Final = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolic"
_OLDEST: Final = (1, 30)


def _kubernetes(target: Target) -> Iterator[CheckResult]:
    version = target.cluster.get("/version")
    text = str(version["gitVersion"])
    numbers = tuple(int(re.sub(r"\D", "", version[key]) or 0) for key in ("major", "minor"))
    if numbers < _OLDEST:
        yield CheckResult(
            "Kubernetes", "failed", text, "use 1.30 or newer: the admission policies need it"
        )
    else:
        yield CheckResult("Kubernetes", "ok", text)
    for namespace in dict.fromkeys(("mammo", target.namespace)):
        if target.cluster.find(f"/api/v1/namespaces/{namespace}") is None:
            remedy = "kubectl apply -f manifests/base/namespace.yaml"
            if namespace != "mammo":
                remedy = "give the namespace of the runs with --namespace"
            yield CheckResult(f"namespace {namespace}", "failed", "is not there", remedy)


def _account(target: Target) -> Iterator[CheckResult]:
    name = f"service account {target.account} in {target.namespace}"
    remedy = f"apply manifests/overlays/kubeflow for the namespace {target.namespace}"
    path = f"/api/v1/namespaces/{target.namespace}/serviceaccounts/{target.account}"
    if target.cluster.find(path) is None:
        yield CheckResult(name, "failed", "is not there", remedy)
        return
    refused = [
        f"{verb} {resource}"
        for verb, resource, group in _RIGHTS
        if not target.cluster.may(target.account, target.namespace, verb, resource, group)
    ]
    if refused:
        yield CheckResult(name, "failed", f"may not {', '.join(refused)}", remedy)
    else:
        yield CheckResult(name, "ok", "has the rights of a run")


def _secrets(target: Target) -> Iterator[CheckResult]:
    copy = _COPY.format(target.namespace)
    roles = sorted({platform.role for platform in STEPS.values()})
    references: dict[str, set[str]] = {CA_BUNDLE: set(), TRUST: set()}
    complete = []
    for name in map(secret_of, roles):
        values = target.cluster.secret(name, target.namespace)
        where = f"Secret {name} in {target.namespace}"
        if values is None:
            yield CheckResult(where, "failed", "is not there", f"scripts/make-secrets, then {copy}")
            continue
        required = ("MAMMO_S3_ENDPOINT", "MAMMO_S3_ACCESS_KEY", "MAMMO_S3_SECRET_KEY")
        empty = [key for key in required if not values.get(key, "").strip()]
        endpoint = values.get("MAMMO_S3_ENDPOINT", "").strip()
        if empty:
            yield CheckResult(where, "failed", f"has no {', '.join(empty)}", f"set it, then {copy}")
        elif not re.match(r"https?://", endpoint):
            yield CheckResult(where, "failed", "its endpoint has no scheme", "http:// or https://")
        else:
            complete.append(name)
        for key, secrets in references.items():
            if values.get(key):
                secrets.add(name)
    if len(complete) == len(roles):
        yield CheckResult("Secrets of the roles", "ok", ", ".join(complete))
    yield from _files(target, references)


def _files(target: Target, references: dict[str, set[str]]) -> Iterator[CheckResult]:
    """Look for the ConfigMaps that hold the files which Secrets name."""
    for key, (name, file) in {
        CA_BUNDLE: ("mammo-ca", "ca.crt"),
        TRUST: ("mammo-trust", "trust.yaml"),
    }.items():
        values = target.cluster.config_map(name, target.namespace)
        if references[key] and not (values or {}).get(file):
            yield CheckResult(
                f"ConfigMap {name} in {target.namespace}",
                "failed",
                f"has no {file}, which {key} of {sorted(references[key])[0]} names",
                _COPY.format(target.namespace),
            )
        elif references[key]:
            yield CheckResult(f"ConfigMap {name} in {target.namespace}", "ok", f"has {file}")
    if target.signed and not references[TRUST]:
        yield CheckResult(
            "trust policy",
            "failed",
            f"no Secret of a role has {TRUST}: unsigned models would be used",
            "scripts/make-secrets --signed, or add it to the Secrets",
        )


def _keys(target: Target) -> Iterator[CheckResult]:
    from mammo_core.errors import MammoError
    from mammo_core.packaging.signatures.keys import SigningKey

    copy = _COPY.format(target.namespace)
    where = f"Secret mammo-signing-key in {target.namespace}"
    values = target.cluster.secret("mammo-signing-key", target.namespace)
    if values is None or not values.get(KEY):
        text = "is not there" if values is None else f"has no {KEY}"
        remedy = "docs/packages.md, Signatures" if target.signed else ""
        yield CheckResult(where, "failed" if target.signed else "absent", text, remedy)
    else:
        try:
            key = SigningKey.from_environment(values)
        except MammoError as error:
            text = f"cannot be used: {error.problem}; received {error.received}"
            remedy = f"put a usable key into the Secret of mammo, then {copy}"
            yield CheckResult(where, "failed", text, remedy)
        else:
            if key is not None:
                yield from _trusted(target, where, key)
    site_key = (target.cluster.secret("mammo-site-key", target.namespace) or {}).get(
        "MAMMO_SITE_KEY", ""
    )
    where = f"Secret mammo-site-key in {target.namespace}"
    if not site_key:
        remedy = f"scripts/make-secrets, then {copy}"
        yield CheckResult(where, "failed", "has no MAMMO_SITE_KEY", remedy)
    else:
        yield CheckResult(where, "ok", "has a key")


def _trusted(target: Target, where: str, key: "SigningKey") -> Iterator[CheckResult]:
    """Compare the signing key with the trust policy of the namespace."""
    from mammo_core.packaging import TrustPolicy

    text = (target.cluster.config_map("mammo-trust", target.namespace) or {}).get("trust.yaml", "")
    if text:
        with tempfile.TemporaryDirectory(prefix="mammo-trust-") as folder:
            file = Path(folder) / "trust.yaml"
            file.write_text(text, encoding="utf-8")
            TrustPolicy.read(file).require(key.public_id(), where)
    yield CheckResult(
        where, "ok", "can sign" + (", and the trust policy accepts it" if text else "")
    )


def _policies(target: Target) -> Iterator[CheckResult]:
    remedy = "apply manifests/base (or an overlay of it)"
    for name in ("mammo-run-pods", "mammo-pods"):
        binding = target.cluster.find(f"{_POLICIES}ybindings/{name}")
        if target.cluster.find(f"{_POLICIES}ies/{name}") is None or binding is None:
            yield CheckResult(f"admission policy {name}", "failed", "is not in force", remedy)
            continue
        selector = binding["spec"]["matchResources"]["namespaceSelector"]
        names = [value for part in selector.get("matchExpressions", []) for value in part["values"]]
        if name == "mammo-run-pods" and target.namespace not in names:
            text = f"does not hold in {target.namespace}"
            yield CheckResult(
                f"admission policy {name}", "failed", text, "add the namespace to its binding"
            )
        else:
            yield CheckResult(f"admission policy {name}", "ok", "is in force")
    path = f"/apis/networking.k8s.io/v1/namespaces/{target.namespace}/networkpolicies/mammo-steps"
    name = f"network policy mammo-steps in {target.namespace}"
    if target.cluster.find(path) is None:
        yield CheckResult(name, "failed", "is not there", "apply manifests/overlays/kubeflow")
    else:
        yield CheckResult(name, "ok", "is there")


def _gpus(target: Target) -> Iterator[CheckResult]:
    nodes = target.cluster.get("/api/v1/nodes")["items"]
    counts = [int(node["status"]["allocatable"].get("nvidia.com/gpu", 0)) for node in nodes]
    text = f"{sum(counts)} on {sum(count > 0 for count in counts)} of {len(nodes)} nodes"
    if max(counts, default=0) < target.gpus:
        remedy = "install NVIDIA's device plugin, or run with --gpu-count 0"
        yield CheckResult("GPUs", "failed", f"{text}, a step asks for {target.gpus}", remedy)
    else:
        yield CheckResult("GPUs", "ok" if sum(counts) else "absent", text)


#: What is looked at from outside, in this order.
OUTSIDE: Final = (
    Check("Kubernetes", _kubernetes),
    Check("service account", _account),
    Check("Secrets", _secrets),
    Check("keys", _keys),
    Check("policies", _policies),
    Check("GPUs", _gpus),
)
