"""Patients that were forgotten (`mammo store forget`): they are left out when a source is indexed.

A tombstone is a file that is named after a digest of the patient's key, so that the store says
who must not come back without saying who she is to anyone who does not know her key.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mammo_core.sources.kinds import TABLES
from mammo_core.sources.several.names import plain_id
from mammo_core.store import MAXIMUM_NOTE_BYTES, Store, read_object

if TYPE_CHECKING:  # quick to load: see the package
    from mammo_core.sources.tables.source_tables import SourceTables

#: Beside the tables, so that who indexes may read them.
TOMBSTONES: Final = f"{TABLES.folder}/tombstones"
CAUSE: Final = "forgotten"
#: Media type of what the signature of a tombstone is about.
TOMBSTONE_TYPE: Final = "application/vnd.mammo-pipelines.tombstone+json"


def tombstone_key(patient_key: str) -> str:
    """Return the key of the tombstone of a patient.

    Args:
        patient_key: Her key in the tables of her source.
    """
    digest = hashlib.sha256(f"mammo tombstone\0{patient_key}".encode()).hexdigest()
    return f"{TOMBSTONES}/{digest[:32]}.json"


def tombstone_content(store: Store, key: str) -> tuple[bytes, str, str]:
    """Return the bytes of a tombstone that are signed, the id of the key, and the signature.

    Args:
        store: The store with the tombstone.
        key: Its key.

    Raises:
        RecordError: It is damaged.
        StoreError: There is none, or the store fails.
    """
    content = read_object(store, key, MAXIMUM_NOTE_BYTES)
    signature = str(content.pop("signature", ""))
    signed = json.dumps({"key": key, **content}, sort_keys=True).encode()
    return signed, str(content.get("signed_by", "")), signature


def forgotten_patients(store: Store, patient_keys: Iterable[str]) -> set[str]:
    """Return the patients among these who were forgotten.

    Args:
        store: The store with the tombstones.
        patient_keys: Keys of patients; with several sources those with the names of the sources.
    """
    buried = set(store.list(f"{TOMBSTONES}/"))
    if not buried:
        return set()
    return {str(key) for key in patient_keys if tombstone_key(plain_id(str(key))) in buried}


def leave_out_forgotten(store: Store, tables: "SourceTables") -> "SourceTables":
    """Return tables without the patients who were forgotten; only their number is reported.

    Args:
        store: The store with the tombstones.
        tables: The tables of a source.
    """
    forgotten = forgotten_patients(store, tables.images["patient_key"].unique())
    if not forgotten:
        return tables
    import pandas as pd

    images = tables.images[~tables.images["patient_key"].isin(forgotten)]
    lesions = tables.lesions[~tables.lesions["patient_key"].isin(forgotten)]
    gone = tables.images[tables.images["patient_key"].isin(forgotten)]
    names = {*gone["path"], *gone["image_id"], *gone["view_id"]}
    rejects = tables.rejects[~tables.rejects["item"].isin(names)]
    count = f"{len(forgotten)} patients with {len(gone)} images"
    row = {
        "item": "forgotten patients",
        "kind": "row",
        "cause": CAUSE,
        "reason": f"Patients were forgotten. Expected none of their files. Received {count}.",
        "step": "index",
    }
    rejects = pd.concat([rejects, pd.DataFrame([row])[list(rejects.columns)]], ignore_index=True)
    return replace(
        tables,
        images=images.reset_index(drop=True),
        lesions=lesions.reset_index(drop=True),
        rejects=rejects,
    )
