"""The tables of several sources as one: ids and paths begin with the names of the sources."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mammo_core.sources.selection import remaining_tables
from mammo_core.sources.several.names import NAME_COLUMN, named_id, named_path
from mammo_core.sources.tables.source_tables import (
    REJECT_COLUMNS,
    Row,
    SourceTables,
    rows_of,
    table_of,
)

if TYPE_CHECKING:  # quick to load: see the package
    import pandas as pd

#: Cause of images that are the same file as one of another source, in the table of rejects.
COPY_CAUSE: Final = "file_of_another_source"
_IMAGE_IDS: Final = ("patient_key", "exam_key", "view_id")
_LESION_IDS: Final = ("lesion_id", *_IMAGE_IDS)
_LINK_COLUMNS: Final = ("patient_key", "other_patient_key")


@dataclass(frozen=True)
class JoinedTables:
    """The content of several sources.

    Attributes:
        tables: Their tables, with the column `source_name` of images. Rows of rejects begin
            with the name of the source.
        links: patient_key, other_patient_key: patients of several sources with the same file.
    """

    tables: SourceTables
    links: "pd.DataFrame"


def join_tables(parts: Mapping[str, SourceTables], roles: Mapping[str, str]) -> JoinedTables:
    """Join the tables of several sources.

    A file that is in several sources is one image: that of the first training source with it, or
    of the first external source. In the others it is left out, with a reject that says so.

    Args:
        parts: Name of each source → its tables.
        roles: Name of each source → its role.
    """
    import pandas as pd

    order = sorted(parts, key=lambda name: roles[name] != "training")  # stable
    owners: dict[str, tuple[str, str]] = {}
    links: set[tuple[str, str]] = set()
    joined: dict[str, SourceTables] = {}
    for name in order:
        part, rejects = parts[name], list[Row]()
        images = part.images
        for image_id, path, key in zip(
            images["image_id"], images["path"], images["patient_key"], strict=True
        ):
            patient = named_id(name, str(key))
            if image_id not in owners:
                owners[image_id] = name, patient
                continue
            owner, other = owners[image_id]
            links.add((patient, other))
            rejects.append(_copy(path, owner))
        if rejects:
            mine = [owners[image_id][0] == name for image_id in images["image_id"]]
            part = remaining_tables(part, images[mine].reset_index(drop=True), rejects)
        joined[name] = _with_names(name, part)
    names = list(parts)
    return JoinedTables(
        SourceTables(
            images=_concat((joined[name].images for name in names), "image_id"),
            lesions=_concat((joined[name].lesions for name in names), "lesion_id"),
            rejects=table_of(
                (row for name in names for row in rows_of(joined[name].rejects)), REJECT_COLUMNS
            ),
            facts=_facts({name: joined[name] for name in names}),
        ),
        pd.DataFrame(sorted(links), columns=pd.Index(_LINK_COLUMNS), dtype="object"),
    )


def _copy(path: str, owner: str) -> Row:
    reason = (
        f"The file is also in the source {owner}. Expected a file of one source. "
        f"Received the same bytes in both: it is an image of {owner}."
    )
    return {"item": path, "kind": "image", "cause": COPY_CAUSE, "reason": reason, "step": "index"}


def _with_names(name: str, part: SourceTables) -> SourceTables:
    from mammo_core.sources.lesions.masks import mask_file

    images, lesions, rejects = part.images.copy(), part.lesions.copy(), part.rejects.copy()
    for table, columns in ((images, _IMAGE_IDS), (lesions, _LESION_IDS)):
        for column in columns:
            table[column] = [named_id(name, str(id or "")) for id in table[column]]
    images["path"] = [named_path(name, path) for path in images["path"]]
    images[NAME_COLUMN] = [name] * len(images)
    lesions["mask_path"] = [
        path if mask_file(path) is None else named_path(name, path) for path in lesions["mask_path"]
    ]
    rejects["item"] = [named_path(name, item) for item in rejects["item"]]
    return SourceTables(images=images, lesions=lesions, rejects=rejects, facts=part.facts)


def _concat(tables: "Iterable[pd.DataFrame]", key: str) -> "pd.DataFrame":
    import pandas as pd

    every = list(tables)
    filled = [table for table in every if len(table)] or every[:1]
    result = pd.concat(filled, ignore_index=True)
    return result.sort_values(key, ignore_index=True) if len(result) else result


def _facts(parts: Mapping[str, SourceTables]) -> dict[str, Any]:
    """The facts of all sources, and those that later steps read of any tables."""
    left_out: dict[str, int] = {}
    warnings: list[dict[str, Any]] = []
    for name, part in parts.items():
        causes = part.rejects["cause"]
        for cause, count in causes[causes != ""].value_counts().items():
            left_out[str(cause)] = left_out.get(str(cause), 0) + int(count)
        warnings += [
            {**warning, "message": f"{name}: {warning['message']}"}
            for warning in part.facts.get("warnings", ())
        ]
    site_keys = sorted({str(part.facts.get("site_key", "")) for part in parts.values()} - {""})
    return {
        "left_out": dict(sorted(left_out.items())),
        "warnings": warnings,
        **({"site_key": site_keys[0]} if site_keys else {}),
        "sources": {name: dict(part.facts) for name, part in parts.items()},
    }


def links_of(tables: "pd.DataFrame") -> Sequence[tuple[str, str]]:
    """Return the pairs of patients in a table of links.

    Args:
        tables: The table `links` of `JoinedTables`.
    """
    pairs = zip(*(tables[name] for name in _LINK_COLUMNS), strict=True)
    return [(str(one), str(other)) for one, other in pairs]
