"""TIFF files made byte by byte: any layout, packed samples, LZW without a library."""

import struct

import numpy as np

SHORT, LONG = 3, 4


def tiff(width, height, bits, segments, *, order="<", tile=None, extra=(), **tags):
    """Return a TIFF file (TIFF 6.0) with one directory and these strips or tiles."""
    values = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 277: 1}
    values |= {322: tile, 323: tile} if tile else {278: -(-height // len(segments))}
    values |= {int(name[1:]): value for name, value in tags.items()}
    offsets, sizes = (324, 325) if tile else (273, 279)
    entries = sorted([*values, offsets, sizes])
    lists = 8 + 2 + 12 * len(entries) + 4
    data = lists + 8 * len(segments)
    starts = [data + sum(map(len, segments[:number])) for number in range(len(segments))]
    lengths = [len(segment) for segment in segments]
    several = len(segments) > 1
    content = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(entries))
    for tag in entries:
        if tag in (offsets, sizes):
            numbers = starts if tag == offsets else lengths
            value = (lists + 4 * len(segments) * (tag == sizes)) if several else numbers[0]
            content += struct.pack(order + "HHII", tag, LONG, len(segments), value)
        else:
            value = struct.pack(order + "H", values[tag]).ljust(4, b"\0")
            content += struct.pack(order + "HHI", tag, SHORT, 1) + value
    content += struct.pack(order + "I", 0)
    content += struct.pack(f"{order}{2 * len(segments)}I", *starts, *lengths)
    return content + b"".join(segments)


def lzw(data):
    """Return LZW codes of 9 bits that are literals, with a clear code before the table grows."""
    codes = []
    for start in range(0, len(data), 200):
        codes += [256, *data[start : start + 200]]
    bits = np.array([*codes, 257], ">u2").view(np.uint8).reshape(-1, 2)
    return np.packbits(np.unpackbits(bits, axis=1)[:, 7:].ravel()).tobytes()


def packed(rows, bits):
    """Return samples of a few bits, each row from a whole byte on."""
    words = np.asarray(rows, ">u2")
    each = np.unpackbits(words.view(np.uint8).reshape(*words.shape, 2), axis=-1)[..., 16 - bits :]
    return np.packbits(each.reshape(len(words), -1), axis=1).tobytes()


def strips(rows, height, pack):
    """Return the strips of a picture."""
    return [pack(rows[start : start + height]) for start in range(0, len(rows), height)]


def tiles(rows, side, pack):
    """Return the tiles of a picture, padded with zeros."""
    padded = np.pad(rows, [(0, -size % side) for size in rows.shape])
    return [
        pack(padded[top : top + side, left : left + side])
        for top in range(0, padded.shape[0], side)
        for left in range(0, padded.shape[1], side)
    ]
