"""The object store behind one protocol: `file://` (embedded) and `s3://`.

It holds everything a run produces: datasets, frames, trained networks, model packages and
the status of runs. Keys are relative to the store's root, so a store can be copied or moved.
"""

from mammo_core.store.base import (
    MAXIMUM_READ_BYTES,
    DamagedError,
    Lease,
    LeaseHeldError,
    LeaseLostError,
    Store,
    TooLargeError,
)
from mammo_core.store.json_files import MAXIMUM_NOTE_BYTES, parse_object, read_object
from mammo_core.store.lease import LeaseReport, find_leases
from mammo_core.store.open import open_store
from mammo_core.store.probe import require_conditional_writes, store_time

__all__ = [
    "MAXIMUM_NOTE_BYTES",
    "MAXIMUM_READ_BYTES",
    "DamagedError",
    "Lease",
    "LeaseHeldError",
    "LeaseLostError",
    "LeaseReport",
    "Store",
    "TooLargeError",
    "find_leases",
    "open_store",
    "parse_object",
    "read_object",
    "require_conditional_writes",
    "store_time",
]
