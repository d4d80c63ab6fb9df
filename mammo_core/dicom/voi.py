"""The VOI transform: from modality values to gray levels as they are meant to be seen."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from mammo_core.dicom.tables import LookUpTable, read_table
from mammo_core.errors import DicomError

Function = Literal["TABLE", "LINEAR", "LINEAR_EXACT", "SIGMOID"]
Values = np.ndarray[Any, np.dtype[np.float64]]


def function_of(data: Any) -> Function | None:
    """Return which VOI transform a header has: a table first, else its first window.

    Args:
        data: The allowed header fields (pydicom Dataset).

    Returns:
        None where there is none, or where a window's function is no term of DICOM.
    """
    if data.get("VOILUTSequence"):
        return "TABLE"
    if _first(data.get("WindowCenter")) is None or _first(data.get("WindowWidth")) is None:
        return None
    told = data.get("VOILUTFunction")
    word = str(told or "LINEAR").strip().upper()
    functions: tuple[Function, ...] = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
    return next((function for function in functions if function == word), None)


def apply_voi(data: Any, values: Values, name: str) -> Values:
    """Send modality values through the VOI transform of a header (PS3.3 C.11.2).

    Args:
        data: The allowed header fields, with a `function_of`.
        values: Modality values, any shape, in the units of the modality.
        name: The file, for messages.

    Returns:
        Of the same shape, [0, 1].

    Raises:
        DicomError: The window or the table is broken.
    """
    function = function_of(data)
    if function == "TABLE":
        table = read_table(data.VOILUTSequence[0], name, "VOI", signed=bool((values < 0).any()))
        return _look_up(table, values)
    center, width = _first(data.WindowCenter), _first(data.WindowWidth)
    if center is None or width is None or not _usable(function, width):
        raise DicomError(
            f"{name} has a broken window",
            expected="a width of at least 1 (LINEAR), or above 0",
            received=f"width {width}",
        )
    if function == "SIGMOID":
        # C.11.2.1.3.1; far from the centre the exponential has no number.
        return np.asarray(1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -500, 500))))
    if function == "LINEAR_EXACT":  # C.11.2.1.3.2
        return np.asarray(np.clip((values - center) / width + 0.5, 0, 1))
    # C.11.2.1.2.1: a width of 1 is a threshold.
    if width == 1:
        return np.asarray((values > center - 0.5).astype(np.float64))
    return np.asarray(np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1))


def _usable(function: str | None, width: float) -> bool:
    return width >= 1 if function == "LINEAR" else width > 0


def _look_up(table: LookUpTable, values: Values) -> Values:
    last = table.levels.size - 1
    places = np.clip(np.rint(values) - table.first, 0, last).astype(np.int64)
    return np.asarray(table.levels[places] / (2**table.bits - 1), dtype=np.float64)


def _first(value: Any) -> float | None:
    """The first number of a field of one or many (C.11.2.1.2: the first is the default)."""
    if isinstance(value, Sequence) and not isinstance(value, str | bytes) and len(value):
        value = value[0]
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None
