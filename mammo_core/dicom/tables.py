"""Look-up tables of a header: the modality's and the VOI's (PS3.3 C.11.1.1, C.11.2.1.1)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mammo_core.dicom.fields import without_text
from mammo_core.errors import DicomError


@dataclass(frozen=True)
class LookUpTable:
    """A look-up table.

    Args:
        first: The value that the first entry is for.
        bits: Bits of an entry.
        levels: (entries,) uint16, [0, 2**bits - 1].
    """

    first: int
    bits: int
    levels: np.ndarray[Any, np.dtype[np.uint16]]


def read_table(item: Any, name: str, kind: str, *, signed: bool) -> LookUpTable:
    """Read a look-up table.

    Args:
        item: An item of Modality LUT Sequence or VOI LUT Sequence (pydicom Dataset).
        name: The file, for messages.
        kind: modality or VOI, for messages.
        signed: Whether the values looked up may be below 0.

    Raises:
        DicomError: The table contradicts itself.
    """

    def broken(received: str) -> DicomError:
        return DicomError(
            f"{name} has a broken {kind} look-up table",
            expected="a LUT Descriptor of 8 to 16 bits and as many LUT Data entries as it says",
            received=received,
        )

    try:
        entries, first, bits = (int(value) for value in item.LUTDescriptor)
        held = item.LUTData
        entries = entries or 2**16  # 0 means 65536.
        wide = np.asarray(
            np.frombuffer(held, "<u2") if isinstance(held, bytes) else held, dtype=np.int64
        )
        if isinstance(held, bytes) and len(held) == entries + entries % 2 and bits == 8:
            wide = np.frombuffer(held, np.uint8)[:entries].astype(np.int64)
    except (AttributeError, TypeError, ValueError) as error:
        raise broken(type(error).__name__) from without_text(error)
    if wide.ndim != 1 or wide.size != entries or not 8 <= bits <= 16:
        raise broken(f"{wide.size} of {entries} entries of {bits} bits")
    if int(wide.min()) < 0 or int(wide.max()) > 2**bits - 1:
        raise broken(f"entries outside {bits} bits")
    if signed and first >= 2**15:
        first -= 2**16
    return LookUpTable(first, bits, wide.astype(np.uint16))
