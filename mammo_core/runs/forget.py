"""`mammo store forget`: remove what a store has of a patient, and say what cannot be removed.

Records, rows of tables, features and scores are rewritten without her; each manifest is swapped if
it is still the one that was read, and the old files are deleted at once. Ids stay the same, as in a
compaction. Pages that may show her images are replaced. Models cannot be changed: those that were
trained on her are listed. A tombstone keeps her from being indexed again.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from mammo_core.datasets.manifests import (
    Manifest,
    StoredFile,
    parse,
    put_bytes,
    read_manifest,
    verify_file,
)
from mammo_core.datasets.shard_tables import complete, with_shard_table
from mammo_core.datasets.shards import read_shard, record_image_id, write_shard
from mammo_core.datasets.tables import from_parquet, to_parquet
from mammo_core.documents import MAXIMUM_JSON_BYTES
from mammo_core.errors import RecordError, StoreError
from mammo_core.features.kinds import ASSIGNMENT, FRAME
from mammo_core.packaging.signatures.keys import SigningKey
from mammo_core.registry.audit.rewrites import note_rewrite
from mammo_core.runs.file_caches import remove_caches
from mammo_core.runs.garbage import output_of_status
from mammo_core.runs.patient_outputs import (
    MAXIMUM_TABLE_BYTES,
    claims_of,
    derived_outputs,
    fitted_models,
)
from mammo_core.runs.patient_traces import (
    REMOVED_PAGE,
    Traces,
    pruned,
    read_tables,
    without_patient,
)
from mammo_core.runs.run import record_keys, run_of_status
from mammo_core.sources.identity.forgotten import TOMBSTONE_TYPE, tombstone_key
from mammo_core.sources.kinds import TABLES
from mammo_core.sources.several.names import plain_id
from mammo_core.store import Store
from mammo_core.store.earlier_versions import remove_earlier_versions

_FEATURES: Final = "features"
_PAGES: Final = (".html", ".png")


@dataclass
class Forgotten:
    """What was removed.

    Attributes:
        images: Number of her images.
        outputs: Outputs that were rewritten.
        features: Files of features that were rewritten.
        online: Folders of features whose online store was rebuilt without her.
        pages: Pages that were replaced.
        versions: Number of earlier versions of objects that were removed from a bucket.
        models: `name/version: splits` of each version that was fitted to a frame with her.
        trainings: Trainings, registered or not, whose frame had her.
        claims: Other outputs that rest on her: evaluations, decisions, packages.
        unknown: What the store does not record about the origin of models, and what could not be
            removed.
        tombstone: Key of the tombstone.
    """

    images: int = 0
    outputs: list[str] = field(default_factory=list)
    features: list[str] = field(default_factory=list)
    online: list[str] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)
    versions: int = 0
    models: list[str] = field(default_factory=list)
    trainings: list[str] = field(default_factory=list)
    claims: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    tombstone: str = ""


def forget(
    store: Store,
    patient_key: str,
    key: SigningKey | None,
    report: Callable[[str], None] = lambda text: None,
    *,
    keep_versions: bool = False,
) -> Forgotten:
    """Remove a patient from a store. After a kill, the same call completes it.

    In a bucket that keeps versions, every earlier version in the store is removed, those of models
    and events excepted: the bytes of hers that were deleted or replaced would still be there.

    Args:
        store: The store.
        patient_key: Her key, as in the tables of her source; a name of a source before it is
            ignored, as a key is forgotten in all of them.
        key: Signs the tombstone; None leaves it unsigned.
        report: Called with what is being rewritten.
        keep_versions: Leave earlier versions of objects in the bucket.

    Returns:
        What was removed, and the models that were trained on her.

    Raises:
        RecordError: The store knows no such patient, or an output was changed meanwhile.
        StoreError: The store fails, or an output is being written for too long.
    """
    patient_key = plain_id(patient_key)
    with store.lease(tombstone_key(patient_key)):
        outputs = _outputs(store)
        traces = _traces(store, outputs, patient_key)
        result = Forgotten(images=len(traces.images), tombstone=tombstone_key(patient_key))
        if not traces.images and not store.exists(result.tombstone):
            raise RecordError(
                "The store knows no such patient",
                expected="a patient key of its tables",
                received="a key that no table has",
                hint="`--patient-id` takes the site's own id and computes the key",
            )
        # Before anything is removed: models are found by the frames that name her.
        fitted = fitted_models(store, outputs, traces)
        result.models, result.trainings = fitted.models, fitted.trainings
        result.unknown = fitted.unknown
        derived = derived_outputs(outputs, traces)
        result.claims = claims_of(outputs, derived)
        _bury(store, result, key)
        # The tables and frames that say which images are hers come last, so that a second call
        # after a kill still knows them.
        ordered = sorted(outputs, key=lambda each: each.kind in (FRAME.folder, TABLES.folder))
        for manifest in ordered:
            _rewrite_output(store, manifest, traces, derived, result, report, key)
        _rewrite_features(store, traces, result, report)
        _rewrite_records_of_runs(store, traces, derived, result)
        remove_caches(store, traces.patient)
        if not keep_versions:
            _remove_versions(store, result)
        return result


def _outputs(store: Store) -> list[Manifest]:
    keys = [key for key in store.list("") if key.endswith("/manifest.json")]
    return [read_manifest(store, key) for key in keys]


def _traces(store: Store, outputs: list[Manifest], patient_key: str) -> Traces:
    traces = Traces(patient_key)
    for manifest in outputs:
        for file in manifest.files:
            if file.name.endswith((".parquet", ".csv")):
                for table in read_tables(file.name, store.read(file.key, MAXIMUM_TABLE_BYTES)):
                    if traces.learn(table):
                        traces.outputs.add(manifest.id)
    for key in _feature_files(store):
        traces.learn(from_parquet(store.read(key, MAXIMUM_TABLE_BYTES)))
    return traces


def _rewrite_output(
    store: Store,
    listed: Manifest,
    traces: Traces,
    derived: set[str],
    result: Forgotten,
    report: Callable[[str], None],
    key: SigningKey | None,
) -> None:
    """Write the files of an output that know the patient again, and swap its manifest."""
    with store.lease(listed.folder) as lease:
        if not store.exists(listed.key):
            return  # removed meanwhile
        old = store.read(listed.key, MAXIMUM_JSON_BYTES)
        manifest = complete(store, parse(old, listed.key))
        folder = f"{manifest.folder}/{lease.attempt}"
        files = [
            _rewritten(store, folder, number, file, traces)
            for number, file in enumerate(manifest.files)
        ]
        facts = pruned(manifest.facts, traces)
        kept = tuple(file for file in files if file is not None)
        if kept != manifest.files or manifest.id in derived:
            pages = [_without_page(store, folder, file, result) for file in kept]
            kept = tuple(file for file in pages if file is not None)
        if kept == manifest.files and facts == manifest.facts:
            return
        report(f"rewriting {manifest.folder}")
        for file in kept:
            if file not in manifest.files:
                verify_file(store, file)
        changed = manifest.model_copy(update={"files": kept, "facts": facts})
        swapped = with_shard_table(store, changed)
        lease.check()
        new = swapped.to_json().encode()
        note_rewrite(store, swapped.folder, old, new, key, result.tombstone)
        if not store.write_if(swapped.key, new, old):
            raise RecordError(
                f"The manifest {swapped.key} was changed while a patient was removed from it",
                expected="no other process that writes it",
                received="another manifest",
                hint="run the same command again: it goes on with the rest",
            )
        result.outputs.append(manifest.folder)
        _delete_unnamed(store, {f.key for f in manifest.files} - {f.key for f in swapped.files})


def _rewritten(
    store: Store, folder: str, number: int, file: StoredFile, traces: Traces
) -> StoredFile | None:
    """Return a file without the patient: itself, another, or None if nothing is left of it."""
    if file.name.startswith("shard-"):
        kept = [r for r in read_shard(store, file) if record_image_id(r) not in traces.images]
        if len(kept) == (file.count or 0) - len(file.excluded):
            return file  # what it excludes is not hers, or a compaction removes it
        if not kept:
            return None
        return write_shard(store, folder, int(file.name.removeprefix("shard-")), kept)
    if not file.name.endswith((".parquet", ".csv", ".json")):
        return file
    data = store.read(file.key, MAXIMUM_TABLE_BYTES)
    content = without_patient(file.name, data, traces)
    if content == data:
        return file
    stored = put_bytes(store, folder, f"{number}-{file.name}", content)
    tables = list(read_tables(file.name, content)) if file.count is not None else []
    count = len(tables[0]) if tables else file.count
    return stored.model_copy(update={"name": file.name, "count": count})


def _without_page(
    store: Store, folder: str, file: StoredFile, result: Forgotten
) -> StoredFile | None:
    if not file.name.endswith(_PAGES) or file.sha256 == hashlib.sha256(REMOVED_PAGE).hexdigest():
        return file
    result.pages.append(file.key)
    if file.name.endswith(".png"):
        return None
    return put_bytes(store, folder, file.name, REMOVED_PAGE)


def _delete_unnamed(store: Store, keys: set[str]) -> None:
    """Delete files that no manifest lists any more: datasets share shards."""
    named = {file.key for manifest in _outputs(store) for file in manifest.files}
    for key in sorted(keys - named):
        store.delete(key)


def _feature_files(store: Store) -> list[str]:
    outputs = f"{ASSIGNMENT.folder}/"  # among the outputs, with manifests
    keys = store.list(f"{_FEATURES}/")
    return [key for key in keys if key.endswith(".parquet") and not key.startswith(outputs)]


def _rewrite_features(
    store: Store, traces: Traces, result: Forgotten, report: Callable[[str], None]
) -> None:
    by_folder: dict[str, list[str]] = {}
    for key in _feature_files(store):
        by_folder.setdefault(key.rpartition("/")[0].rpartition("/")[0], []).append(key)
    for folder, keys in by_folder.items():
        with store.lease(folder):
            for key in keys:
                table = from_parquet(store.read(key, MAXIMUM_TABLE_BYTES))
                hers = traces.mask(table)
                if not hers.any():
                    continue
                report(f"rewriting {key}")
                data = to_parquet(table[~hers])
                digest = hashlib.sha256(data).hexdigest()[:16]
                if not hers.all():
                    store.write(f"{key.rpartition('-')[0]}-{digest}.parquet", data)
                store.delete(key)
                result.features.append(key)
    from mammo_core.features.online import forget_rows

    online = {key.rpartition("/")[0] for key in store.list(f"{_FEATURES}/") if key.endswith(".db")}
    for folder in sorted(online | set(by_folder)):
        if forget_rows(store, folder):
            report(f"the online store of {folder} is rebuilt")
            result.online.append(folder)


def _remove_versions(store: Store, result: Forgotten) -> None:
    """Remove earlier versions of objects; where that is denied, say so."""
    try:
        result.versions = remove_earlier_versions(store, keep=("models", "events"))
    except StoreError as error:
        if not any(code in error.received for code in ("AccessDenied", "NotImplemented")):
            raise
        result.unknown.append(
            "earlier versions of objects in the bucket are not removed: it takes the permissions "
            f"s3:ListBucketVersions and s3:DeleteObjectVersion (the role admin); {error.received}"
        )


def _rewrite_records_of_runs(
    store: Store, traces: Traces, derived: set[str], result: Forgotten
) -> None:
    """Replace the pages of runs that made such outputs, and prune what runs say of them."""
    keys = record_keys(store)
    runs = {
        run
        for key in keys
        if (run := run_of_status(key)) and output_of_status(store, key) in derived
    }
    for key, run in keys.items():
        if key.endswith(_PAGES) and run in runs:
            if store.read(key) != REMOVED_PAGE:
                store.write(key, REMOVED_PAGE)
                result.pages.append(key)
        elif key.endswith(".json"):
            data = store.read(key)
            content = without_patient(key, data, traces)
            if content != data:
                store.write_if(key, content, data)


def _bury(store: Store, result: Forgotten, key: SigningKey | None) -> None:
    """Write the tombstone: it names neither the patient nor her images."""
    if store.exists(result.tombstone):
        return
    content: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "images": result.images,
        "models": result.models,
        "trainings": result.trainings,
        "claims": result.claims,
        "signed_by": key.public_id() if key is not None else "unsigned",
    }
    signed = json.dumps({"key": result.tombstone, **content}, sort_keys=True).encode()
    content["signature"] = key.sign(TOMBSTONE_TYPE, signed) if key is not None else ""
    data = (json.dumps(content, sort_keys=True, indent=1) + "\n").encode()
    store.write_if(result.tombstone, data, None)
