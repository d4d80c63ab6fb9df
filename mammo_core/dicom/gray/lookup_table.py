"""Modality and VOI look-up tables of a header (PS3.3 C.11.1.1, C.11.2.1.1)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mammo_core.dicom.headers.fields import error_without_text
from mammo_core.dicom.headers.values import integers
from mammo_core.dicom.meanings.meaning import ImageWarning
from mammo_core.errors import DicomError


@dataclass(frozen=True)
class LookUpTable:
    """A look-up table.

    Args:
        first: The input value of the first entry.
        bits: Bits that the entries use.
        stated_bits: Bits per entry in the header; entries of some writers use fewer.
        levels: `(entries,) uint16, [0, 2**bits - 1]`.
    """

    first: int
    bits: int
    stated_bits: int
    levels: np.ndarray[Any, np.dtype[np.uint16]]


def read_lookup_table(item: Any, name: str, kind: str, *, signed: bool) -> LookUpTable:
    """Read a look-up table.

    Args:
        item: An item of Modality LUT Sequence or VOI LUT Sequence (`FieldValues`).
        name: The file, for messages.
        kind: modality or VOI, for messages.
        signed: Whether input values may be negative.

    Raises:
        DicomError: The table is inconsistent.
    """

    def inconsistent_error(received: str) -> DicomError:
        return DicomError(
            f"{name} has an invalid {kind} look-up table",
            expected="a LUT Descriptor of 8 to 16 bits and as many LUT Data entries as it states",
            received=received,
        )

    try:
        entries, first, bits = integers(item, "LUTDescriptor")
        entries &= 0xFFFF  # an unsigned number, which some writers give as signed
        data = item.LUTData
        entries = entries or 2**16  # 0 means 65536
        entry_values = np.asarray(
            np.frombuffer(data, "<u2") if isinstance(data, bytes) else data, dtype=np.int64
        )
        if isinstance(data, bytes) and len(data) == entries + entries % 2 and bits == 8:
            entry_values = np.frombuffer(data, np.uint8)[:entries].astype(np.int64)
    except (AttributeError, TypeError, ValueError) as error:
        raise inconsistent_error(type(error).__name__) from error_without_text(error)
    if entry_values.ndim != 1 or entry_values.size != entries or not 8 <= bits <= 16:
        raise inconsistent_error(f"{entry_values.size} of {entries} entries of {bits} bits")
    if int(entry_values.min()) < 0 or int(entry_values.max()) > 2**bits - 1:
        raise inconsistent_error(f"entries outside {bits} bits")
    if signed and first >= 2**15:
        first -= 2**16
    elif not signed and first < 0:
        first += 2**16
    used = min(bits, max(8, int(entry_values.max()).bit_length()))
    return LookUpTable(first, used, bits, entry_values.astype(np.uint16))


def table_warning(table: LookUpTable, kind: str) -> list[ImageWarning]:
    """Return the warning that the entries of a table use fewer bits than it states, if they do.

    Args:
        table: The table.
        kind: modality or VOI.
    """
    if table.bits == table.stated_bits:
        return []
    return [
        ImageWarning(
            code="table_bits",
            message=f"The {kind} look-up table states {table.stated_bits} bits, its entries use "
            f"{table.bits}: those count",
        )
    ]
