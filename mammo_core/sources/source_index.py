"""Make the tables of a source, and recognize a source that was indexed before."""

import hashlib
import json
from typing import Any

from mammo_core.datasets.manifests import put_bytes
from mammo_core.datasets.outputs import Attempt, Draft
from mammo_core.datasets.tables import EncodedTable
from mammo_core.processes import give_back_memory
from mammo_core.progress import Progress
from mammo_core.sources.adapter import get_adapter
from mammo_core.sources.auditing.policy import ImagePolicy
from mammo_core.sources.config import SourceConfig
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.identity.label_windows import LabelsConfig
from mammo_core.sources.identity.patients import site_key_state
from mammo_core.sources.kinds import TABLES, TableFacts
from mammo_core.sources.tables.table_digests import other_digests, table_digests


def make_tables(
    attempt: Attempt,
    source: SourceConfig,
    policy: ImagePolicy | None = None,
    labels: LabelsConfig | None = None,
) -> Draft:
    """Read a source and make its tables of images, lesions and rejects, with the audit page.

    Args:
        attempt: The attempt to make the tables.
        source: The source.
        policy: As for `index`.
        labels: As for `index`.

    Raises:
        SourceError: The source cannot be used, or none of its images can.
        StoreError: The store or the source's server failed.
    """
    from mammo_core.sources import index
    from mammo_core.sources.auditing.audit_report import audit_page
    from mammo_core.sources.auditing.implausible_images import apply_plausibility, find_implausible
    from mammo_core.sources.card.croissant import CARD, croissant_card
    from mammo_core.sources.card.known_terms import terms_of_images
    from mammo_core.sources.files.file_fact_cache import FileFactCache
    from mammo_core.sources.files.file_inspection import inspect_files
    from mammo_core.sources.identity.exam_days import ExamDays
    from mammo_core.sources.identity.forgotten import leave_out_forgotten
    from mammo_core.sources.selection import rejects_by_fault
    from mammo_core.sources.splitting.splits import official_splits

    store, files = attempt.store, source.files()
    files.fact_cache = FileFactCache.read(store, files.uri)
    files.exam_days = ExamDays(store)
    progress = _ProgressBars()
    tables = index(source, progress.show, files=files, policy=policy, labels=labels)
    tables = leave_out_forgotten(store, tables)
    give_back_memory()
    inspection = inspect_files(files, tables.images, progress=progress.show)
    progress.close()
    plausibility = (policy or ImagePolicy()).plausibility
    implausible = find_implausible(tables.images, inspection, plausibility)
    tables = apply_plausibility(tables, inspection, plausibility)
    splits = official_splits(tables.images)
    leaking = tuple(sorted(key for key, names in splits.items() if len(names) > 1))
    page = audit_page(
        tables.images,
        tables.lesions,
        tables.rejects,
        inspection,
        source=source.adapter,
        warnings=tables.facts.get("warnings", ()),
        implausible=implausible,
    )
    files.fact_cache.write(store, files.uri)
    del files, inspection  # as large as the tables
    give_back_memory()
    encoded = [
        EncodedTable.of("images.parquet", tables.images),
        EncodedTable.of("lesions.parquet", tables.lesions),
        EncodedTable.of("rejects.parquet", tables.rejects),
    ]
    terms = terms_of_images(source, tables.images)
    config: dict[str, Any] = {"adapter": source.adapter}
    if source.terms is not None:  # other terms make other tables: what is made of them knows both
        config["terms"] = source.terms.model_dump(mode="json")
    facts = {**tables.facts, "terms": terms.model_dump(mode="json") if terms is not None else None}
    faults, left_out = rejects_by_fault(tables.rejects)
    manifest = TABLES.manifest(
        TABLES.content_id(config, [table.digest for table in encoded]),
        config=config,
        counts={
            "images": len(tables.images),
            "views": int(tables.images["view_id"].nunique()),
            "patients": int(tables.images["patient_key"].nunique()),
            "lesions": len(tables.lesions),
            "rejects": faults,
            "left_out": left_out,
            "leaking_patients": len(leaking),
        },
        facts=TableFacts(leaking_patients=leaking, source=facts),
    )
    folder = attempt.folder(manifest.folder)
    stored = [table.put(store, folder) for table in encoded]
    card = croissant_card(tables, stored, adapter=source.adapter, id=manifest.id, terms=terms)
    text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    stored.append(put_bytes(store, folder, CARD, text.encode()))
    stored.append(put_bytes(store, folder, "audit.html", page.encode()))
    return Draft(manifest.model_copy(update={"files": tuple(stored)}))


def listing_digest(
    source: SourceConfig,
    files: SourceFiles,
    policy: ImagePolicy | None = None,
    labels: LabelsConfig | None = None,
) -> str:
    """Return a digest of what is read and how; if it is unchanged, so are the tables.

    Args:
        source: The source: its settings count, and the files that its `tables` names.
        files: Its files: their names, sizes and times (or entity tags) count, and the content
            of tables.
        policy: As for `index`.
        labels: As for `index`.
    """
    settings = {
        **source.model_dump(mode="json", exclude={"root", "tables", "acknowledged"}),
        "images": (policy or ImagePolicy()).model_dump(mode="json"),
        "labels": (labels or LabelsConfig()).model_dump(mode="json"),
    }
    keyed = get_adapter(source.adapter).needs_site_key or source.image_id == "keyed"
    key = site_key_state() if keyed else ""
    head = json.dumps([TABLES.revision, settings, key], sort_keys=True)
    digest = hashlib.sha256(f"{head}\n".encode())
    listings = [files] if source.tables is None else [files, SourceFiles.open(source.tables)]
    for listing in listings:
        digest.update(f"{listing.uri}\n".encode())
        for entry in listing.entries.values():
            digest.update(f"{entry.key}\t{entry.size}\t{entry.version}\n".encode())
        if not listing.remote:  # an entity tag is a digest already
            for name, content in table_digests(source, listing).items():
                digest.update(f"{name}\t{content}\n".encode())
    # `tables` can name one file as well as a folder.
    folder, _, name = (source.tables or "").rpartition("/")
    if name and (table := SourceFiles.open(folder or ".").entry(name)) is not None:
        digest.update(f"{table.sha256}\t{table.version}\n".encode())
    for name, content in other_digests(source):
        digest.update(f"{name}\t{content}\n".encode())
    return digest.hexdigest()[:32]


class _ProgressBars:
    """A bar for each kind of work, created when it begins."""

    def __init__(self) -> None:
        self._bars: dict[str, Progress] = {}

    def show(self, work: str, done: int, total: int) -> None:
        if work not in self._bars:
            self._bars[work] = Progress(f"index {work}", total, work.rsplit(maxsplit=1)[-1])
        self._bars[work].advance(done - self._bars[work].done)

    def close(self) -> None:
        for bar in self._bars.values():
            bar.close()
