"""Values of header fields as text, numbers and flags, whatever type the file gave them."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def texts(data: Any, keyword: str) -> list[str]:
    """Return the values of a text field; empty if it is absent or of another type."""
    value = data.get(keyword)
    if isinstance(value, str):
        return [value] if value.strip() else []
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [item if isinstance(item, str) else "" for item in value]
    return []


def first_text(data: Any, keyword: str) -> str:
    """Return the first value of a text field; empty if there is none."""
    return next(iter(texts(data, keyword)), "")


def first_number(value: Any) -> float | None:
    """Return the first number of a value, or None if it is not a finite number."""
    if isinstance(value, Sequence) and not isinstance(value, str | bytes) and len(value):
        value = value[0]
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if np.isfinite(number) else None


def read_flag(data: Any, keyword: str) -> bool | None:
    """Return a field of YES and NO as a boolean; None for any other value."""
    return {"YES": True, "NO": False}.get(first_text(data, keyword).strip().upper())


def integers(data: Any, keyword: str) -> list[int]:
    """Return the values of a field of 16-bit integers; empty if it has none.

    Its VR is US or SS: with implicit VR the parser does not know which and leaves the bytes.
    """
    value = data.get(keyword)
    if isinstance(value, bytes):
        pairs = range(0, len(value) - 1, 2)
        return [int.from_bytes(value[at : at + 2], "little") for at in pairs]
    if isinstance(value, int):
        return [value]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [item for item in value if isinstance(item, int)]
    return []
