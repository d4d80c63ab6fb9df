"""Your own data: one table with a row for each image or lesion."""

from typing import TYPE_CHECKING

from mammo_core.sources.adapter import Adapter, SourceFacts, register_adapter
from mammo_core.sources.adapters.table.options import TableOptions

if TYPE_CHECKING:  # a recipe is read without any codec
    from mammo_core.sources.config import SourceConfig
    from mammo_core.sources.files.source_files import SourceFiles
    from mammo_core.sources.tables.source_tables import ProgressCall, SourceTables


def _index(
    config: "SourceConfig",
    files: "SourceFiles",
    progress: "ProgressCall | None",
    workers: int | None,
) -> "SourceTables":
    from mammo_core.sources.adapters.table.index import index_table

    return index_table(config, files, progress, workers)


def _check(config: "SourceConfig", images: bool, progress: "ProgressCall | None") -> SourceFacts:
    from mammo_core.sources.adapters.table.check import check_table

    result = check_table(config, images, progress)
    problems = [
        {"line": problem.line, "column": problem.column, "problem": problem.problem}
        for problem in result.problems
    ]
    return {**result.facts, "problems": problems}


def _other_files(config: "SourceConfig") -> list[str]:
    options = config.options(TableOptions)
    if not options.mapping or config.tables is None:
        return []
    folder, slash, _ = config.tables.rpartition("/")
    return [f"{folder}{slash}{options.mapping}"]


def _fact_lines(facts: SourceFacts) -> list[str]:
    missing = facts.get("missing_files")
    return [f"rows left out because their image file is missing: {missing}"] if missing else []


register_adapter(
    Adapter(
        name="table",
        index=_index,
        options=TableOptions,
        check=_check,
        check_input="tables",
        needs_site_key=True,
        fact_lines=_fact_lines,
        other_files=_other_files,
    )
)
