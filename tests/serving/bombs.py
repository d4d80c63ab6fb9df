"""Files and requests that are designed to exhaust a server, and how it should answer them."""

import json
import struct
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "dicom"))

from hostile import DEFLATED, IMPLICIT, hostile, items, window

#: Rows and columns of an image just within the limit of pixels.
SIDE = 9_900


@dataclass(frozen=True)
class Bomb:
    """A request: its path, its body, and the statuses that are right for it."""

    name: str
    path: str
    body: bytes
    statuses: tuple[int, ...]


def png(rows, columns):
    """Return a black 8-bit PNG image: a thousandth of its pixels in bytes."""
    deflater = zlib.compressobj(9)
    row = b"\0" * (columns + 1)
    data = b"".join(deflater.compress(row) for _ in range(rows)) + deflater.flush()

    def chunk(kind, content):
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def bombs(infer_path, side=SIDE):
    """Return bombs of every kind.

    Args:
        infer_path: Path of the inference requests.
        side: Rows and columns of large images.
    """
    numbers = b"0," * 2_000_000 + b"0"
    tensor = {"name": "pixels", "datatype": "UINT16", "shape": [1, 48, 36], "data": []}
    large = json.dumps({"inputs": [tensor]}).encode().replace(b"[]", b"[" + numbers + b"]")
    heavy = (200, 422, 503)  # 503: after a wait for its turn
    return [
        Bomb("header of items", "/score", hostile(DEFLATED, early=items(190_000)), (422,)),
        Bomb("header of values", "/score", hostile(IMPLICIT, window=window(1_000_000)), (422,)),
        Bomb("black image", "/score", png(side, side), heavy),
        Bomb("image beyond the limit", "/score", png(40, 9_000_000), (422,)),
        Bomb("nested lists", infer_path, b"[" * 1_000_000, (400,)),
        Bomb("numbers", infer_path, large, (400,)),
        Bomb("not a file", "/score", b"\0" * 100_000, (422,)),
    ]
