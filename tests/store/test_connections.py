"""The connections of a store to its server."""

import gc
from contextlib import suppress
from pathlib import Path

import pytest

from mammo_core.errors import StoreError
from mammo_core.store import open_store, require_conditional_writes
from tests.support.s3 import S3Server

pytestmark = pytest.mark.s3


def _sockets() -> int:
    targets = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            targets.append(str(entry.readlink()))
        except FileNotFoundError:  # the descriptor of the listing itself
            continue
    return sum(target.startswith("socket:") for target in targets)


def test_a_store_that_nothing_uses_has_no_connections(s3_environment: S3Server) -> None:
    """Garbage is rarely collected where TensorFlow's objects are many: no store may wait for it.

    Each had 43 connections, and a process of many stores ended at its limit of descriptors.
    """
    gc.collect()
    before = _sockets()
    gc.disable()
    try:
        store = open_store("s3://mammo-connections/store")
        require_conditional_writes(store)
        assert store.read(".probe/passed.json")
        with suppress(StoreError):
            store.read("absent")
        assert _sockets() > before
        del store
        assert _sockets() == before
    finally:
        gc.enable()
