"""What only a pod sees: the object store, and what each role may do there."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from mammo_core.errors import MammoError, StoreError
from mammo_core.packaging.signatures.trust import TRUST
from mammo_core.store import open_store, require_conditional_writes
from pipelines.doctor.checks import CheckResult
from pipelines.roles import PLACES, ROLES, STORE, secret_of

_FOREIGN: Final = "0" * 32
_PROBE: Final = ".doctor"
_REMEDY: Final = "apply the overlay of the object store again, or give the role its policy"


def look(folder: Path) -> Iterator[CheckResult]:
    """Try what each role may do, with the Secrets that are mounted in a folder.

    Nothing stays in the store. Reading is tried by looking up a key that is not there, writing
    by a write whose condition does not hold.

    Args:
        folder: A folder for each role, with a file for each key of its Secret.
    """
    roles = {
        role: {file.name: file.read_text().strip() for file in (folder / role).glob("MAMMO_*")}
        for role in ROLES
        if (folder / role).is_dir()
    }
    for role, values in roles.items():
        name = f"role {role} ({secret_of(role)})"
        with _environment(values):
            try:
                yield from _rights(role, name)
            except MammoError as error:
                yield CheckResult(name, "failed", str(error).rstrip("."))
    for role in ("data", "admin"):
        if role in roles:
            with _environment(roles[role]):
                yield _conditional_writes(roles[role].get("MAMMO_S3_ENDPOINT", ""))
            break


def _rights(role: str, name: str) -> Iterator[CheckResult]:
    rights = ROLES[role]
    writes = tuple(PLACES) if role == "admin" else rights.writes
    reads = () if rights.put_only else (*rights.reads, *writes)
    wrong: dict[str, None] = {}
    for area, parts in PLACES.items():
        for bucket, prefix in parts:
            key = prefix.replace("*", "main") + _PROBE
            store = open_store(f"s3://{bucket}")
            for verb, areas, request in (
                ("read", reads, partial(store.entry, key)),
                ("write", writes, partial(store.put_if, key, b"", _FOREIGN)),
            ):
                expected = _belongs(key, bucket, areas)
                if _is_allowed(request) != expected:
                    wrong[f"{'may not' if expected else 'may'} {verb} {area}"] = None
    if wrong:
        yield CheckResult(name, "failed", ", ".join(wrong), _REMEDY)
    else:
        yield CheckResult(name, "ok", "may do what its policy says, and no more")


def _belongs(key: str, bucket: str, areas: tuple[str, ...]) -> bool:
    """Whether a key is within one of these places."""
    return any(
        bucket == there and fnmatchcase(key, f"{prefix}*")
        for area in areas
        for there, prefix in PLACES[area]
    )


def _conditional_writes(endpoint: str) -> CheckResult:
    name = f"object store at {urlsplit(endpoint).netloc}"
    try:
        require_conditional_writes(open_store(f"s3://{STORE}"))
    except StoreError as error:
        return CheckResult(name, "failed", str(error).rstrip("."), "docs/store.md, Which servers")
    return CheckResult(name, "ok", "of 32 conditional writes at once one wins")


def _is_allowed(request: Callable[[], object]) -> bool:
    """Whether the server lets a request through, whatever it finds."""
    try:
        request()
    except StoreError as error:
        if "AccessDenied" in error.received:
            return False
        raise
    return True


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Take the credentials of a role as the environment of this process."""
    before = dict(os.environ)
    os.environ.update({name: value for name, value in values.items() if name != TRUST})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
