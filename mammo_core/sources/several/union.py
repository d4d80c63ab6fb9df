"""Make the tables of several sources from those of each."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from mammo_core.datasets.manifests import Manifest, put_bytes
from mammo_core.datasets.outputs import Attempt, Draft
from mammo_core.datasets.tables import put_table, read_table, to_parquet
from mammo_core.reporting import Page, Table
from mammo_core.sources.kinds import TABLES, TableFacts
from mammo_core.sources.selection import rejects_by_fault
from mammo_core.sources.several.entry import SourceEntry
from mammo_core.sources.several.join import JoinedTables, join_tables
from mammo_core.sources.several.names import NAME_COLUMN, split_path
from mammo_core.sources.splitting.splits import official_splits
from mammo_core.sources.tables.source_tables import SourceTables
from mammo_core.store import Store

#: The file with patients of several sources who have a file in common.
LINKS: Final = "links.parquet"


def union_digest(entries: Sequence[SourceEntry], parts: Mapping[str, Manifest]) -> str:
    """Return a digest of everything that the tables of several sources depend on.

    Args:
        entries: The sources.
        parts: Name of each source → the manifest of its tables.
    """
    content = [TABLES.revision, [(e.name, e.role, parts[e.name].id) for e in entries]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def make_union(
    attempt: Attempt, entries: Sequence[SourceEntry], parts: Mapping[str, Manifest]
) -> Draft:
    """Join the tables of several sources.

    Args:
        attempt: The attempt to make the tables.
        entries: The sources.
        parts: Name of each source → the manifest of its tables.

    Raises:
        StoreError: The store failed.
    """
    store = attempt.store
    roles = {entry.name: entry.role for entry in entries}
    joined = join_tables({name: read_part(store, part) for name, part in parts.items()}, roles)
    tables = joined.tables
    by_name = {
        "images.parquet": tables.images,
        "lesions.parquet": tables.lesions,
        "rejects.parquet": tables.rejects,
        LINKS: joined.links,
    }
    digests = [(n, hashlib.sha256(to_parquet(table)).hexdigest()) for n, table in by_name.items()]
    config = {"sources": [{"name": e.name, "adapter": e.adapter, "role": e.role} for e in entries]}
    faults, left_out = rejects_by_fault(tables.rejects)
    splits = official_splits(tables.images)
    leaking = tuple(sorted(key for key, names in splits.items() if len(names) > 1))
    terms = {name: TABLES.facts_of(part).source.get("terms") for name, part in parts.items()}
    manifest = TABLES.manifest(
        TABLES.content_id(config, digests),
        config=config,
        counts={
            "images": len(tables.images),
            "views": int(tables.images["view_id"].nunique()),
            "patients": int(tables.images["patient_key"].nunique()),
            "lesions": len(tables.lesions),
            "rejects": faults,
            "left_out": left_out,
            "leaking_patients": len(leaking),
            "sources": len(entries),
        },
        facts=TableFacts(
            leaking_patients=leaking,
            source={**tables.facts, "roles": roles, "terms_of_sources": terms},
        ),
        lineage={f"tables_{name}": part.id for name, part in parts.items()},
    )
    folder = attempt.folder(manifest.folder)
    files = [put_table(store, folder, name, table) for name, table in by_name.items()]
    page = _page(entries, parts, joined)
    files.append(put_bytes(store, folder, "audit.html", page.encode()))
    return Draft(manifest.model_copy(update={"files": tuple(files)}))


def read_part(store: Store, manifest: Manifest) -> SourceTables:
    """Read published tables of a source.

    Args:
        store: The object store.
        manifest: Their manifest.
    """
    names = ("images", "lesions", "rejects")
    images, lesions, rejects = (read_table(store, manifest, f"{name}.parquet") for name in names)
    facts = dict(TABLES.facts_of(manifest).source)
    return SourceTables(images=images, lesions=lesions, rejects=rejects, facts=facts)


def _page(
    entries: Sequence[SourceEntry], parts: Mapping[str, Manifest], joined: JoinedTables
) -> str:
    images, lesions, rejects = joined.tables.images, joined.tables.lesions, joined.tables.rejects
    page = Page(
        "Audit of the sources",
        "Counts are of images unless stated otherwise. The audit of each source shows its images.",
    )
    rows: list[dict[str, Any]] = []
    for entry in entries:
        mine = images[images[NAME_COLUMN] == entry.name]
        hers = mine.groupby("patient_key")["malignant"].max()
        items = rejects["item"].map(lambda item, name=entry.name: split_path(item)[0] == name)
        rows.append(
            {
                "source": entry.name,
                "adapter": entry.adapter,
                "role": entry.role,
                "images": len(mine),
                "malignant": int(mine["malignant"].sum()),
                "patients": len(hers),
                "malignant patients": int(hers.sum()),
                "lesions": int(lesions["image_id"].isin(set(mine["image_id"])).sum()),
                "rejects": int((rejects.loc[items.astype(bool), "cause"] == "").sum()),
                "left out": int((rejects.loc[items.astype(bool), "cause"] != "").sum()),
                "audit": parts[entry.name].file("audit.html").key,
            }
        )
    page.section("Sources").table(Table.from_records(rows))
    page.section("Files in several sources")
    page.text(
        f"{len(joined.links):,} pairs of patients of two sources have a file in common. The file "
        "is an image of the first training source that has it; the patients are on one side."
    )
    if len(rejects):
        page.section("Rejects").table(
            Table.from_records(
                ({str(k): v for k, v in row.items()} for row in rejects.to_dict("records")),
                ("item", "kind", "cause", "reason"),
            )
        )
    return page.html()
