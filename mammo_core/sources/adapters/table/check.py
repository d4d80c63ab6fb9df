"""Find every problem of a table of your own before a run."""

import re
from dataclasses import dataclass

from mammo_core.errors import SourceError
from mammo_core.sources.adapter import SourceFacts
from mammo_core.sources.adapters.table.cases import image_cases, reject_rows
from mammo_core.sources.adapters.table.index import (
    MISSING_FILE,
    leave_out_missing,
    require_table,
)
from mammo_core.sources.adapters.table.layout import table_options
from mammo_core.sources.adapters.table.rows import Problem, read_rows, similar_patients
from mammo_core.sources.assemble import assemble
from mammo_core.sources.config import SourceConfig
from mammo_core.sources.identity.cases import case_facts
from mammo_core.sources.tables.source_tables import ProgressCall, Rejects


@dataclass(frozen=True)
class TableCheck:
    """The result of checking a table.

    Args:
        problems: All of them, by line.
        facts: Counts of the valid rows.
    """

    problems: tuple[Problem, ...]
    facts: SourceFacts


def check_table(
    config: SourceConfig, images: bool, progress: ProgressCall | None = None
) -> TableCheck:
    """Find every problem of a table. It needs no site key and creates no patient key.

    Args:
        config: As for `index_table`.
        images: Whether images and masks are opened too.
        progress: Called with what is being done, how many are done, and of how many.

    Raises:
        SourceError: The file cannot be read as a table at all.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    options = table_options(config)
    rows, problems = read_rows(require_table(config), options)
    left_out = reject_rows(rows, problems)
    # Keys of this check only: nothing is kept that could be matched with another run.
    facts: SourceFacts = {
        "rows": rows.table.rows,
        **case_facts(image_cases(rows, left_out, b"check")),
        "warnings": similar_patients(rows),
    }
    if images and facts["views"]:
        lines = {rows.table.row_name(line): line for line in rows.table.lines.tolist()}
        cases = list(image_cases(rows, left_out, b"check"))
        rejects = Rejects()
        files = config.files()
        files.require_root(f"image folder {config.root}")
        if options.missing_files == "leave_out":
            cases = leave_out_missing(files, cases, rejects)
        try:
            facts = assemble(
                files,
                "table",
                cases,
                rejects,
                facts={"rows": facts["rows"], "warnings": facts["warnings"]},
                site_key=b"check",
                progress=progress,
            ).facts
        except SourceError:
            if not rejects.rows:
                raise
        missing = sum(row["cause"] == MISSING_FILE for row in rejects.rows)
        if missing:
            facts["missing_files"] = missing
        problems += [
            Problem(lines[row["item"]], "", _without_keys(str(row["reason"])))
            for row in rejects.rows
            if not row["cause"]
        ]
    problems.sort(key=lambda problem: (problem.line, problem.column))
    return TableCheck(tuple(problems), facts)


def _without_keys(reason: str) -> str:
    """Name views by side and view only: the keys of a check have no meaning."""
    return re.sub(r"\b[0-9a-f]{20}_", "", reason)
