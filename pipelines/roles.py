"""The roles in the object store: what the Secret of each may read and write.

`make reference` writes the policy of each role, in the language of S3 policies, to
`manifests/overlays/minio/policies`. The buckets are those of the overlay: `mammo`, `mammo-sources`,
`mammo-scores` and `mammo-events`.

Source: the actions and condition keys are those of the Service Authorization Reference of Amazon
S3, which MinIO follows.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

#: Bucket of the outputs.
STORE: Final = "mammo"
#: Name of a place → (bucket, prefix) of what belongs to it.
PLACES: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "sources": (("mammo-sources", ""),),
    "tables": ((STORE, "tables/"),),
    "records": ((STORE, "datasets/"),),
    "features": ((STORE, "features/"),),
    # The one view of the feature store that a model fills: evaluate appends the scores of images.
    "model scores": ((STORE, "features/*/model_scores/"),),
    "frames": ((STORE, "frames/"),),
    "validations": ((STORE, "validations/"),),
    "new images": ((STORE, "new-images/"),),
    # A training that goes on resumes from its checkpoint.
    "trainings": ((STORE, "trainings/"), (STORE, "checkpoints/")),
    "evaluations": ((STORE, "evaluations/"),),
    "regions": ((STORE, "regions/"),),
    "candidates": ((STORE, "candidates/"),),
    "duels": ((STORE, "duels/"),),
    "gates": ((STORE, "gates/"),),
    "pushes": ((STORE, "pushes/"),),
    # With the pointers to the champions.
    "models": ((STORE, "models/"),),
    "scores": ((STORE, "scores/"), ("mammo-scores", "")),
    "acceptances": ((STORE, "acceptances/"),),
    "runs": ((STORE, "runs/"),),
    "monitoring": ((STORE, "monitoring/"),),
    "events": (("mammo-events", ""),),
}
#: The buckets, in the order in which they are created.
BUCKETS: Final = tuple(dict.fromkeys(bucket for parts in PLACES.values() for bucket, _ in parts))
#: Buckets that keep every version of an object: the role that may only put overwrites nothing.
VERSIONED_BUCKETS: Final = ("mammo-events",)
#: Places whose objects only `admin` may delete: nobody else can take the latest entries of a
#: champion away, so an older one that is put back in place is always noticed.
KEPT: Final = ("models",)
_LIST: Final = ("s3:ListBucket",)
_READ: Final = ("s3:GetObject",)
_WRITE: Final = (
    "s3:GetObject",
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
)
_VERSIONS: Final = ("s3:ListBucketVersions", "s3:GetObjectVersion")
_ADMIN: Final = (
    *("s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:GetBucketLocation"),
    *_WRITE,
    *("s3:ListBucketVersions", "s3:GetObjectVersion", "s3:DeleteObjectVersion"),
)


@dataclass(frozen=True)
class StoreRole:
    """What the holder of a Secret may do in the object store.

    A role lists and reads what it writes, and holds the leases of it, unless it can only put.

    Attributes:
        purpose: Who holds the Secret, for the documentation.
        reads: Names of the places that it reads.
        writes: Names of the places that it writes.
        put_only: Whether it can put objects and nothing else.
    """

    purpose: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    put_only: bool = False


#: Role → its rights. `admin` has all of them.
ROLES: Final = {
    "upload": StoreRole("`mammo store put`", writes=("sources",)),
    "data": StoreRole(
        "the pods from `index` to `prepare-data`, and `summarize`",
        reads=("sources", "models"),
        writes=("tables", "records", "features", "frames", "validations", "new images", "runs"),
    ),
    "train": StoreRole(
        "training and evaluation",
        reads=("tables", "records", "features", "frames", "models"),
        writes=("trainings", "evaluations", "regions", "candidates", "model scores", "runs"),
    ),
    "duel": StoreRole(
        "the pod `duel`",
        reads=("sources", "tables", "frames", "candidates", "models"),
        writes=("duels", "runs"),
    ),
    "release": StoreRole(
        "`release`: the gate and the push",
        reads=("frames", "evaluations", "candidates", "duels"),
        writes=("gates", "pushes", "models", "runs"),
    ),
    "score": StoreRole(
        "the pipeline `score`, and `mammo accept`",
        reads=("sources", "models"),
        writes=("scores", "acceptances", "runs"),
    ),
    "serve": StoreRole("`mammo serve`", reads=("models", "acceptances")),
    "events": StoreRole(
        "whoever records events of a model in use", writes=("events",), put_only=True
    ),
    "monitor": StoreRole(
        "whoever watches a model in use",
        reads=("events", "models"),
        writes=("monitoring", "runs"),
    ),
    "admin": StoreRole("`mammo store gc` and other maintenance, by hand"),
}


def secret_of(role: str) -> str:
    """Return the name of the Secret of a role."""
    return f"mammo-s3-{role}"


def policy_of(role: str) -> dict[str, Any]:
    """Return the S3 policy of a role."""
    if role == "admin":
        statements = [_allow(_ADMIN, [part for name in BUCKETS for part in (name, f"{name}/*")])]
    elif ROLES[role].put_only:
        statements = [_allow(("s3:PutObject",), _objects(ROLES[role].writes))]
    else:
        statements = _statements(ROLES[role])
    return {"Version": "2012-10-17", "Statement": statements}


def _statements(role: StoreRole) -> list[dict[str, Any]]:
    places = [part for name in (*role.reads, *role.writes) for part in PLACES[name]]
    buckets = list(dict.fromkeys(bucket for bucket, _ in places))
    statements = [_allow(("s3:GetBucketLocation",), buckets)]
    for bucket in buckets:
        statement = _allow(_LIST, [bucket])
        prefixes = [prefix for name, prefix in places if name == bucket]
        if all(prefixes):
            # With the prefix alone, and with anything behind it.
            shown = sorted({f"{prefix}*" for prefix in prefixes})
            statement["Condition"] = {"StringLike": {"s3:prefix": shown}}
        statements.append(statement)
    if role.reads:
        statements.append(_allow(_READ, _objects(role.reads)))
    if role.writes:
        kept = tuple(name for name in role.writes if name in KEPT)
        written = _objects(tuple(name for name in role.writes if name not in KEPT))
        if kept:
            actions = tuple(action for action in _WRITE if action != "s3:DeleteObject")
            statements.append(_allow(actions, _objects(kept)))
        written += [
            # A folder has a lease of its own name.
            f"{bucket}/.leases/{prefix.rstrip('/')}*"
            for name in role.writes
            for bucket, prefix in PLACES[name]
        ]
        stores = sorted({bucket for name in role.writes for bucket, _ in PLACES[name]})
        written += [f"{bucket}/.probe/*" for bucket in stores]
        statements.append(_allow(_WRITE, list(dict.fromkeys(written))))
    versioned = [bucket for bucket in buckets if bucket in VERSIONED_BUCKETS]
    if versioned:
        resources = [part for bucket in versioned for part in (bucket, f"{bucket}/*")]
        statements.append(_allow(_VERSIONS, resources))
    return statements


def _objects(names: tuple[str, ...]) -> list[str]:
    return [f"{bucket}/{prefix}*" for name in names for bucket, prefix in PLACES[name]]


def _allow(actions: tuple[str, ...], resources: list[str]) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Action": sorted(set(actions)),
        "Resource": [f"arn:aws:s3:::{resource}" for resource in resources],
    }


def policy_files() -> dict[str, str]:
    """Return the name and the content of the policy file of each role."""
    return {f"{role}.json": json.dumps(policy_of(role), indent=2) + "\n" for role in ROLES}


def role_table() -> str:
    """Return the rights of all roles as a table in Markdown."""
    rows = [
        (f"`{secret_of(name)}`", role.purpose, _names(role.reads), _names(role.writes, role))
        for name, role in ROLES.items()
        if name != "admin"
    ]
    rows.append((f"`{secret_of('admin')}`", ROLES["admin"].purpose, "all", "all"))
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(["| Secret | for | reads | writes |", "|---|---|---|---|", *lines])


def _names(places: tuple[str, ...], role: StoreRole | None = None) -> str:
    text = ", ".join(places) or "–"
    return f"{text} (put only)" if role is not None and role.put_only else text
