"""The text of a table."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def csv_bytes(
    columns: Sequence[str], rows: Iterable[Mapping[str, Any]], delimiter: str = ","
) -> bytes:
    """Return a table as CSV in UTF-8; a cell that a row lacks is empty.

    Args:
        columns: Its header.
        rows: Cells by column; others are left out.
        delimiter: Separates cells.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(
        text, columns, extrasaction="ignore", lineterminator="\n", delimiter=delimiter
    )
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
