"""Index a table of your own. Its columns are documented in docs/sources.md."""

from mammo_core.errors import SourceError
from mammo_core.sources.adapters.table.cases import image_cases, reject_rows
from mammo_core.sources.adapters.table.layout import table_options
from mammo_core.sources.adapters.table.rows import read_rows, similar_patients
from mammo_core.sources.assemble import assemble
from mammo_core.sources.config import SourceConfig
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.identity.cases import ImageCase
from mammo_core.sources.identity.patients import fingerprint, site_key
from mammo_core.sources.tables.source_tables import ProgressCall, Rejects, SourceTables

#: Cause of rows whose image file does not exist, where they are left out.
MISSING_FILE = "missing_file"


def index_table(
    config: SourceConfig,
    files: SourceFiles,
    progress: ProgressCall | None = None,
    workers: int | None = None,
) -> SourceTables:
    """Read a table of your own, and find its images and masks.

    An image with a wrong row is left out, and each of its rows is a reject.

    Args:
        config: `tables` is the file, `root` the folder its paths are relative to.
        files: The files under the root.
        progress: Called with what is being done, how many are done, and of how many.
        workers: Threads.

    Returns:
        The tables, with patient keys.

    Raises:
        SourceError: The table cannot be used, or there is no image or no site key.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    options = table_options(config)
    key = site_key()
    rows, problems = read_rows(require_table(config), options)
    rejects = Rejects()
    left_out = reject_rows(rows, problems, rejects)
    facts = {
        "rows": rows.table.rows,
        "site_key": fingerprint(key),
        "warnings": similar_patients(rows),
    }
    cases = list(image_cases(rows, left_out, key))
    del rows, problems
    if options.missing_files == "leave_out":
        cases = leave_out_missing(files, cases, rejects)
    return assemble(
        files,
        "table",
        cases,
        rejects,
        facts=facts,
        site_key=key,
        progress=progress,
        workers=workers,
    )


def leave_out_missing(
    files: SourceFiles, cases: list[ImageCase], rejects: Rejects
) -> list[ImageCase]:
    """Return the images whose file exists; the others are left out by their cause.

    Args:
        files: The files under the root.
        cases: The images.
        rejects: What was left out; more is added.
    """
    entries = files.entries
    existing: list[ImageCase] = []
    for case in cases:
        if any(path in entries for path in case.paths):
            existing.append(case)
        else:
            reason = "The image file is missing. Expected a file. Received none."
            rejects.add(case.item, "image", reason, MISSING_FILE)
    return existing


def require_table(config: SourceConfig) -> str:
    """Return the file of a source.

    Args:
        config: The source.

    Raises:
        SourceError: It names none.
    """
    if config.tables is None:
        raise SourceError(
            "The source `table` has no table",
            expected="source.tables: a CSV, Parquet or Excel file",
            received="none",
        )
    return config.tables
