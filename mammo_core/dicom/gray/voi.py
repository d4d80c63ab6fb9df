"""The VOI transform: from modality values to the gray levels intended for display."""

from typing import Any, Literal

import numpy as np

from mammo_core.dicom.gray.lookup_table import LookUpTable, read_lookup_table
from mammo_core.dicom.headers.values import first_number
from mammo_core.errors import DicomError

Function = Literal["TABLE", "LINEAR", "LINEAR_EXACT", "SIGMOID"]
Values = np.ndarray[Any, np.dtype[np.float64]]


def voi_function(data: Any) -> Function | None:
    """Return the VOI transform of a header: the table, or else the first window.

    Args:
        data: The allowed header fields (`FieldValues`).

    Returns:
        None if there is none, or if DICOM does not define the function of the window.
    """
    if data.get("VOILUTSequence"):
        return "TABLE"
    if (
        first_number(data.get("WindowCenter")) is None
        or first_number(data.get("WindowWidth")) is None
    ):
        return None
    word = str(data.get("VOILUTFunction") or "LINEAR").strip().upper()
    functions: tuple[Function, ...] = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
    return next((function for function in functions if function == word), None)


def voi_table(data: Any, name: str, *, signed: bool) -> LookUpTable | None:
    """Return the VOI look-up table of a header; None if it has none.

    Args:
        data: The allowed header fields (`FieldValues`).
        name: The file, for messages.
        signed: Whether modality values may be negative.

    Raises:
        DicomError: The table is invalid.
    """
    tables = data.get("VOILUTSequence")
    return read_lookup_table(tables[0], name, "VOI", signed=signed) if tables else None


def apply_voi(data: Any, values: Values, name: str) -> Values:
    """Apply the VOI transform of a header to modality values (PS3.3 C.11.2).

    Args:
        data: The allowed header fields, with a `voi_function`.
        values: Modality values, `(...) float64`, in the units of the modality.
        name: The file, for messages.

    Returns:
        `(...) float64, [0, 1]`, in the same shape.

    Raises:
        DicomError: The window or the table is invalid.
    """
    function = voi_function(data)
    table = voi_table(data, name, signed=bool((values < 0).any()))
    if table is not None:
        return _look_up(table, values)
    center, width = first_number(data.WindowCenter), first_number(data.WindowWidth)
    if center is None or width is None or not _is_valid_width(function, width):
        raise DicomError(
            f"{name} has an invalid window",
            expected="a width of at least 1 (LINEAR), or above 0",
            received=f"width {width}",
        )
    if function == "SIGMOID":
        # C.11.2.1.3.1; far from the center the exponential overflows.
        return np.asarray(1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -500, 500))))
    if function == "LINEAR_EXACT":  # C.11.2.1.3.2
        return np.asarray(np.clip((values - center) / width + 0.5, 0, 1))
    # C.11.2.1.2.1: a width of 1 is a threshold.
    if width == 1:
        return np.asarray((values > center - 0.5).astype(np.float64))
    return np.asarray(np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1))


def _is_valid_width(function: str | None, width: float) -> bool:
    return width >= 1 if function == "LINEAR" else width > 0


def _look_up(table: LookUpTable, values: Values) -> Values:
    last = table.levels.size - 1
    entries = np.clip(np.rint(values) - table.first, 0, last).astype(np.int64)
    return np.asarray(table.levels[entries] / (2**table.bits - 1), dtype=np.float64)
