"""Tables of readers' scores and decisions."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from mammo_core.errors import RecordError
from mammo_core.sources.tables.csv_table import read_csv

if TYPE_CHECKING:
    import pandas as pd


def read_table_of_readers(
    uri: str,
    required: Collection[str],
    numbers: Collection[str],
    optional: Collection[str] = ("patient_id",),
) -> "pd.DataFrame":
    """Read a CSV file of readers.

    Args:
        uri: The file.
        required: Columns that it must have.
        numbers: Columns among all that hold numbers.
        optional: Columns that it may have besides; others are an error.

    Returns:
        The columns, numbers as float64, with the names of the rows as index; without
        `patient_id` each case is a patient.

    Raises:
        SourceError: The file cannot be read.
        RecordError: A column is missing or unknown, or a cell is empty or no number.
    """
    import pandas as pd

    file = read_csv(uri)
    for line, cells in file.rows:
        if len(cells) != len(file.columns):
            raise RecordError(
                f"{file.row_name(line)} cannot be used",
                expected=f"{len(file.columns)} cells, as in the header",
                received=f"{len(cells)}",
            )
    table = pd.DataFrame(
        [cells for _, cells in file.rows],
        columns=list(file.columns),
        index=[file.row_name(line) for line, _ in file.rows],
        dtype=str,
    )
    missing = sorted(set(required) - set(table.columns))
    unknown = sorted(set(table.columns) - set(required) - set(optional))
    if missing or unknown or table.empty:
        raise RecordError(
            "This is not a table of readers",
            expected=f"the columns {', '.join(required)}, and at most {', '.join(optional)}",
            received=f"{len(table)} rows, without {', '.join(missing) or 'a missing one'}, with "
            f"{', '.join(unknown) or 'no other'}",
        )
    for column in table.columns:
        empty = table[column].eq("")
        values = pd.to_numeric(table[column], errors="coerce") if column in numbers else None
        wrong = empty if values is None else empty | values.isna()
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            raise RecordError(
                f"{table.index[row]} cannot be used",
                expected=f"{'a number' if column in numbers else 'a value'} in {column}",
                received="an empty cell" if empty.iloc[row] else "a text",
            )
        if values is not None:
            table[column] = values.astype("float64")
    if "patient_id" not in table.columns:
        table["patient_id"] = table["case_id"]
    return table


def require_binary_column(table: "pd.DataFrame", column: str) -> None:
    """Require that a column holds only 0 and 1.

    Args:
        table: From `read_table_of_readers`.
        column: Its name.

    Raises:
        RecordError: It does not.
    """
    wrong = ~table[column].isin([0, 1])
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise RecordError(
            f"{table.index[row]} cannot be used",
            expected=f"0 or 1 in {column}",
            received=f"{table[column].iloc[row]:g}",
        )
