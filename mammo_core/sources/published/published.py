"""Adapters of published data sets: each reads its tables as they are, and the rest is here."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from mammo_core.sources.adapter import Adapter, SourceFacts, register_adapter

if TYPE_CHECKING:  # a recipe is read without any codec
    from pydantic import BaseModel

    from mammo_core.sources.config import SourceConfig
    from mammo_core.sources.files.source_files import SourceFiles
    from mammo_core.sources.identity.cases import ImageCase
    from mammo_core.sources.tables.source_tables import ProgressCall, Rejects, SourceTables

#: Aspect ratios this close are one picture in two sizes.
_ASPECT: Final = 0.01


@dataclass
class Reading:
    """What an adapter reads from the tables of a data set.

    Args:
        cases: The images that the tables describe; without files they have no path.
        rejects: Rows that cannot be used.
        counts: Counts of the tables, under the names of their columns.
        sizes: Path of an image → (rows, columns) that the tables state, for images with lesions.
        in_headers: Whether side and view are in the headers of the files only, so that the tables
            alone describe no image.
    """

    cases: "list[ImageCase]"
    rejects: "Rejects"
    counts: dict[str, Any] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    in_headers: bool = False


def register_published(
    name: str,
    read: str,
    *,
    options: "type[BaseModel] | None" = None,
    license: str,
    pseudonyms: str = "",
    header_views: Mapping[str, str] | None = None,
    lossy_jpeg: bool = False,
) -> Adapter:
    """Register the adapter of a published data set.

    Args:
        name: The value of `source.adapter`.
        read: Module and function (`package.module:function`) that reads the tables: called with
            the source, the files of its images or None, and the rejects; it returns a `Reading`.
        options: Frozen pydantic model of the options.
        license: License of the data set.
        pseudonyms: Regular expression of its patient pseudonyms; empty where they are no more
            than a number, which a site's own may be too.
        header_views: See `Adapter`.
        lossy_jpeg: See `Adapter`.
    """
    reader = _Reader(name, read, tuple(sorted((header_views or {}).items())))
    return register_adapter(
        Adapter(
            name=name,
            index=reader.index,
            check=reader.check,
            check_input="either",
            options=options,
            license=license,
            pseudonyms=pseudonyms,
            header_views=header_views or {},
            fact_lines=published_lines,
            lossy_jpeg=lossy_jpeg,
        )
    )


@dataclass(frozen=True)
class _Reader:
    """Reads one data set; equal to another one of the same data set, as adapters must be."""

    name: str
    function: str
    header_views: tuple[tuple[str, str], ...]

    def index(
        self,
        config: "SourceConfig",
        files: "SourceFiles",
        progress: "ProgressCall | None",
        workers: int | None,
    ) -> "SourceTables":
        """Read the data set: see `IndexCall`."""
        from mammo_core.sources.assemble import assemble

        reading = self._read(config, files)
        counts, there = self._facts(reading), reading.cases
        if config.partial:
            there = [case for case in reading.cases if case.paths]
            counts["without_file"] = len(reading.cases) - len(there)
        tables = assemble(
            files,
            self.name,
            there,
            reading.rejects,
            facts=counts,
            header_views=dict(self.header_views),
            progress=progress,
            workers=workers,
        )
        return _without_misplaced_lesions(tables, reading.sizes) if reading.sizes else tables

    def check(
        self, config: "SourceConfig", images: bool, progress: "ProgressCall | None"
    ) -> SourceFacts:
        """Count what the tables contain, and with images what can be used: see `CheckCall`."""
        from mammo_core.sources.check import faults_of
        from mammo_core.sources.identity.cases import case_facts
        from mammo_core.sources.index import index

        if images:
            tables = index(config, progress)
            return {**tables.facts, "rejects": faults_of(tables)}
        reading = self._read(config, None)
        counted = {} if reading.in_headers else case_facts(reading.cases)
        return {**counted, **self._facts(reading), "rejects": reading.rejects.rows}

    def _read(self, config: "SourceConfig", files: "SourceFiles | None") -> Reading:
        from mammo_core.sources.tables.source_tables import Rejects

        module, _, function = self.function.partition(":")
        reading: Reading = getattr(import_module(module), function)(config, files, Rejects())
        return reading

    def _facts(self, reading: Reading) -> SourceFacts:
        from mammo_core.sources.published.counts import count_cases

        counted = {} if reading.in_headers else count_cases(reading.cases)
        return {**counted, "published": reading.counts}


def _without_misplaced_lesions(
    tables: "SourceTables", sizes: dict[str, tuple[int, int]]
) -> "SourceTables":
    """Reject the lesions of pictures that show another part than the tables describe."""
    import pandas as pd

    misplaced: dict[str, str] = {}
    for row in tables.images.itertuples():
        stated = sizes.get(str(row.path))
        if stated is None:
            continue
        rows, columns = int(str(row.rows)), int(str(row.columns))
        if abs(rows * stated[1] / (columns * stated[0]) - 1) > _ASPECT:
            misplaced[str(row.image_id)] = (
                f"The picture {row.path} is cut or padded, so nobody knows where the lesion is. "
                f"Expected {stated[0]}x{stated[1]} pixels, or the same aspect ratio "
                f"within 1 %. Received {rows}x{columns}."
            )
    inside = tables.lesions["image_id"].isin(set(misplaced))
    if not inside.any():
        return tables
    rejects = pd.DataFrame(
        [
            {"item": row.lesion_id, "kind": "lesion", "cause": "", "step": "index"}
            | {"reason": misplaced[str(row.image_id)]}
            for row in tables.lesions[inside].itertuples()
        ]
    )
    return replace(
        tables,
        lesions=tables.lesions[~inside].reset_index(drop=True),
        rejects=pd.concat([tables.rejects, rejects], ignore_index=True),
    )


def published_lines(facts: SourceFacts) -> list[str]:
    """Format the counts of a published data set, one line each.

    Args:
        facts: What `index` or a check of the adapter counted.
    """
    lines: list[str] = []
    for name in ("counted", "published"):
        for key, value in facts.get(name, {}).items():
            words = key.replace("_", " ")
            if isinstance(value, dict):
                text = ", ".join(f"{_word(item)} {count}" for item, count in value.items())
                lines.append(f"{words}: {text or 'none'}")
            else:
                lines.append(f"{words}: {value}")
    if facts.get("without_file"):
        lines.append(f"images without a file: {facts['without_file']}")
    return lines


def _word(item: Any) -> str:
    return str(item) or "unknown"
