"""Check a source before a run, and format what the check reports."""

from collections import Counter
from typing import TYPE_CHECKING, Final

from mammo_core.sources.adapter import Adapter, SourceFacts, get_adapter
from mammo_core.sources.tables.source_tables import ProgressCall, Row, SourceTables

if TYPE_CHECKING:  # quick to load: see the package
    from mammo_core.sources.config import SourceConfig

#: Problems of a column that are printed.
_LISTED: Final = 100


def check_source(
    config: "SourceConfig", images: bool, progress: ProgressCall | None = None
) -> SourceFacts:
    """Count what a source contains, and find its faults.

    Args:
        config: The source.
        images: Whether images and masks are opened too; adapters without a check of their own
            always open them.
        progress: Called with what is being done, how many are done, and of how many.

    Returns:
        Counts; faults under `rejects` (item, kind, reason) or `problems` (line, column,
        problem).

    Raises:
        SourceError: The source cannot be used.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    adapter = get_adapter(config.adapter)
    if adapter.check is not None:
        return adapter.check(config, images, progress)
    from mammo_core.sources.index import index

    tables = index(config, progress)
    return {**tables.facts, "rejects": faults_of(tables)}


def faults_of(tables: SourceTables) -> list[Row]:
    """Return the rejects that are faults of a source, without what a recipe leaves out.

    Args:
        tables: The tables of the source.
    """
    return [row for row in tables.rejects.to_dict("records") if not row["cause"]]


def fact_lines(adapter: Adapter, facts: SourceFacts) -> list[str]:
    """Format the facts of a source, one line each.

    Args:
        adapter: The adapter that reported them; it formats its own facts.
        facts: What `check_source` returned.
    """
    lines: list[str] = []
    counts = [f"{facts[name]} {name}" for name in ("rows", "views", "patients") if name in facts]
    if counts:
        lines.append(", ".join(counts))
    lines += [
        f"{name}: {split['views']} views ({split['malignant']} malignant), "
        f"{split['patients']} patients"
        for name, split in facts.get("splits", {}).items()
    ]
    if adapter.fact_lines is not None:
        lines += adapter.fact_lines(facts)
    if "files" in facts:
        lines += _file_lines(facts["files"])
    if facts.get("left_out"):
        causes = ", ".join(f"{cause} {count}" for cause, count in facts["left_out"].items())
        lines.append(f"left out by the default policy of images and labels: {causes}")
    lines += [f"warning: {warning['message']}" for warning in facts.get("warnings", [])]
    lines += [
        f"rejected {row['kind']} {row['item']}: {row['reason']}" for row in facts.get("rejects", [])
    ]
    if "problems" in facts:
        problems = facts["problems"]
        lines += _problem_lines(problems)
        lines.append(f"{len(problems)} problems" if problems else "no problems")
    return lines


def _problem_lines(problems: list[Row]) -> list[str]:
    """Return a line for each problem; of a column with very many, the first and their number."""
    counts = Counter(row["column"] for row in problems)
    shown: Counter[str] = Counter()
    lines: list[str] = []
    for row in problems:
        column = row["column"]
        shown[column] += 1
        if shown[column] <= _LISTED:
            name = f", {column}" if column else ""
            lines.append(f"line {row['line']}{name}: {row['problem']}")
    more = {column: count - _LISTED for column, count in counts.items() if count > _LISTED}
    lines += [
        f"{column or 'whole lines'}: {count} more problems, which --json prints"
        for column, count in more.items()
    ]
    return lines


def _file_lines(files: SourceFacts) -> list[str]:
    lines = [
        f"{files['image_files']} image files, {files['images']} different images of "
        f"{files['views']} views, {files['lesions']} lesions with a mask"
    ]
    if files.get("rescaled_masks"):
        names = ", ".join(files["rescaled_masks"])
        lines.append(f"masks rescaled to the size of their mammogram: {names}")
    return lines
