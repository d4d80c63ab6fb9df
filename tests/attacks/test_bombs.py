"""Files of a few bytes that stand for gigabytes or end their reader: each costs only itself."""

import plistlib
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from mammo_core.errors import DicomError, RecipeError, RecordError, SourceError
from mammo_core.store import TooLargeError
from tests.support.memory import peak_mb

KEY = "0123456789abcdef" * 2


# Images: a source of a good file and the bomb


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(columns, rows, *chunks, bits=16):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, bits, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def tiff(*fields):
    """A little-endian TIFF file with one directory of (tag, type, count, value)."""
    entries = b"".join(struct.pack("<HHII", *field) for field in sorted(fields))
    return struct.pack("<2sHIH", b"II", 42, 8, len(fields)) + entries + bytes(4)


SIZE = [(256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 1, 16), (262, 3, 1, 1), (277, 3, 1, 1)]
IMAGES = {
    "2^31 x 2^31 pixels.png": lambda: png(2**31 - 1, 2**31 - 1),
    "50,000 x 50,000 pixels of zeros.png": lambda: png(
        50_000, 50_000, chunk(b"IDAT", zlib.compress(bytes(10**7)))
    ),
    "a profile that inflates.png": lambda: png(
        64, 64, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(10**8), 9)),
        chunk(b"IDAT", zlib.compress(bytes(64 * 129))),
    ),
    "text that inflates.png": lambda: png(
        64, 64, *[chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**7), 9))] * 20,
        chunk(b"IDAT", b"damaged"),
    ),
    "pixels that never end.png": lambda: png(64, 64, chunk(b"IDAT", zlib.compress(bytes(10**8)))),
    "100,000 chunks.png": lambda: png(64, 64, *[chunk(b"tEXt", b"a\0b")] * 100_000),
    "2^31 x 2^31 pixels.tif": lambda: tiff(*[(256, 4, 1, 2**31), (257, 4, 1, 2**31)], *SIZE[2:]),
    "a strip of 4 GB.tif": lambda: tiff(
        *SIZE, (273, 4, 1, 8), (278, 4, 1, 64), (279, 4, 1, 2**32 - 1)
    ),
    "a billion strips.tif": lambda: tiff(
        *SIZE, (273, 4, 10**9, 8), (278, 4, 1, 1), (279, 4, 10**9, 8)
    ),
    "65,535 fields.tif": lambda: struct.pack("<2sHIH", b"II", 42, 8, 65535),
    "a directory that is its own next.tif": lambda: tiff(*SIZE)[:-4] + struct.pack("<I", 8),
    "a directory beyond the end.tif": lambda: struct.pack("<2sHI", b"II", 42, 2**32 - 1),
    "BigTIFF of 2^63 fields.tif": lambda: struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, 2**63),
    "deflated zeros.tif": lambda: tiff(
        (256, 4, 1, 9000), (257, 4, 1, 9000), *SIZE[2:], (259, 3, 1, 8), (273, 4, 1, 8),
        (278, 4, 1, 9000), (279, 4, 1, 2**20),
    ) + zlib.compress(bytes(10**8), 9),
    "a sample of 10 million digits.pgm": lambda: b"P2 64 64 255\n" + b"1" * 10**7,
    "ten million samples.pgm": lambda: b"P2 64 64 255\n" + b" 1" * 10**7,
    "100,000 comments.pgm": lambda: b"P2 64 64 255\n" + b"#\n" * 100_000 + b" 1" * 64**2,
}  # fmt: skip


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A table of one good image, and of others that a test writes."""
    monkeypatch.setenv("MAMMO_SITE_KEY", KEY)
    pixels = np.random.default_rng(1).integers(0, 65536, (96, 72)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "good.png"), pixels)

    def index(*files, table=None):
        from mammo_core.sources import SourceConfig
        from mammo_core.sources import index as index_files

        rows = [
            f"{number},{name},L,CC,{number % 2}" for number, name in enumerate(["good.png", *files])
        ]
        text = table or "\n".join(["patient_id,image_path,laterality,view,label", *rows])
        (tmp_path / "table.csv").write_text(text)
        tables = tmp_path / "table.csv"
        config = SourceConfig(adapter="table", root=str(tmp_path), tables=str(tables))
        return index_files(config, workers=1)

    return tmp_path, index


def test_images_that_are_bombs_cost_their_row(source):
    from mammo_core.dicom import read_image

    folder, index = source
    names = []
    for number, (name, make) in enumerate(IMAGES.items()):
        names.append(f"bomb-{number}{Path(name).suffix}")
        (folder / names[-1]).write_bytes(make())
    result = []
    assert peak_mb(lambda: result.append(index(*names))) < 400
    tables = result[0]
    assert "good.png" in set(tables.images["path"])
    assert len(tables.images) + len(tables.rejects) == len(names) + 1

    def read():
        for name, kind in zip(names, IMAGES, strict=True):
            try:
                image = read_image(folder / name, name)
            except DicomError:
                continue
            # A viewer reads these too: what inflates is not the pixels.
            assert image.pixels.shape == (64, 64), kind

    assert peak_mb(read) < 600


# Tables

HEADER = "patient_id,image_path,laterality,view,label"


def test_a_row_that_is_too_long_costs_itself(source):
    index = source[1]
    good = "1,good.png,L,CC,1"
    long_rows = ["2," + "x" * 200_000 + ",L,CC,1", "3,b.png,L,CC,1" + "," * 5000, '4,"' + "y" * 10]
    for bad in long_rows[:2]:
        tables = index(table="\n".join([HEADER, bad, good]))
        assert list(tables.images["path"]) == ["good.png"]
        (reject,) = tables.rejects.to_dict("records")
        assert reject["item"] == "table.csv line 2"
        assert reject["reason"].startswith("The row is too long.")
    with pytest.raises(SourceError, match="closed quotes"):
        index(table="\n".join([HEADER, good, long_rows[2]]))


TABLES = {
    "a million columns": (",".join(f"c{n}" for n in range(20_000)) + "\n", "header"),
    "a column with a long name": (f"{HEADER},{'x' * 300}\n1,good.png,L,CC,1,\n", "header"),
    "a line of megabytes with an open quote": (f'{HEADER}\n1,"{"x" * 10**6}\n', "open quote"),
    # Each row costs itself and only the columns of the header are kept; no row is left.
    "millions of cells": (f"{HEADER}\n" + ("x" + "," * 999 + "\n") * 20_001, "Expected 5 cells"),
    "a cell of megabytes over many lines": (f'{HEADER}\n1,"' + "x\n" * 200_000 + '"\n', "field"),
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_that_are_bombs_are_refused(source, kind):
    text, message = TABLES[kind]
    with pytest.raises(SourceError, match=message):
        source[1](table=text)


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\xd0\xcf\x11\xe0"])
def test_a_workbook_is_not_opened(tmp_path, start):
    """As a CSV file: a workbook is read by the name of its format, with limits of its own."""
    from mammo_core.sources.tables.csv_table import read_csv

    (tmp_path / "table.csv").write_bytes(start + bytes(100))
    with pytest.raises(SourceError, match="workbook of a spreadsheet"):
        read_csv(str(tmp_path / "table.csv"))


def test_contours_that_are_bombs_are_refused(tmp_path):
    from mammo_core.sources.files.source_files import SourceFiles
    from mammo_core.sources.lesions.masks import read_regions

    def regions(count, points):
        roi = {"Name": "Calcification", "Point_px": ["(1, 2)"] * points}
        return plistlib.dumps({"Images": [{"ROIs": [roi] * count}]})

    deep = b"<array>" * 90 + b"</array>" * 90
    named = b"<dict><key>Name</key>" + deep + b"<key>Point_px</key><array/></dict>"
    kinds = {
        "many": regions(6000, 1),
        "points": regions(10, 60_000),
        "large": b" " * 2**25,
        "name": b"<plist><dict><key>Images</key><array><dict><key>ROIs</key><array>"
        + named + b"</array></dict></array></dict></plist>",
    }  # fmt: skip
    for name, data in kinds.items():
        (tmp_path / f"{name}.xml").write_bytes(data)
        with pytest.raises(DicomError, match="cannot be read"):
            read_regions(SourceFiles(str(tmp_path)), f"{name}.xml")


def test_thousands_of_calcifications_are_grouped_quickly():
    """A loop over all pairs in Python took a minute for these."""
    from mammo_core.sources.adapters.inbreast.contours import group_calcifications
    from mammo_core.sources.lesions.masks import Region

    centers = np.random.default_rng(1).uniform(0, 3000, (5000, 2))
    regions = [Region("Calcification", center.reshape(1, 2)) for center in centers]
    groups = group_calcifications(regions, list(range(5000)), 1.0)
    assert sorted(number for group in groups for number in group) == list(range(5000))


# Settings and manifests


def test_recipes_that_are_bombs_are_refused(tmp_path):
    from mammo_core.recipes import load_recipe
    from tests.test_documents import YAML

    for kind in ("aliases of aliases", "depth", "a number of 5,000 digits", "a tag"):
        path = tmp_path / "recipe.yaml"
        path.write_text(YAML[kind])
        with pytest.raises(RecipeError, match="cannot be parsed"):
            load_recipe(str(path))
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe("phantom", [f"source.root={'[' * 1500}"])


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 10**6,
        b'{"kind":' * 5000,
        b'{"a": [' + b"1," * 5_000_000 + b"1]}",
        b"{" + b",".join(b'"k%d" : 1' % number for number in range(500_000)) + b"}",
        b" " * 2**28,
    ],
    ids=["lists", "objects", "values", "keys", "size"],
)
def test_manifests_that_are_bombs_are_refused(file_store, data):
    from mammo_core.datasets.manifests import find

    id = "0" * 32
    file_store.write(f"datasets/images/{id}/manifest.json", data)

    def read():
        with pytest.raises((RecordError, TooLargeError), match=r"cannot be read|too large"):
            find(file_store, "datasets/images", id)

    assert peak_mb(read) < 400


def test_a_table_of_a_billion_rows_is_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from mammo_core.datasets.tables import from_parquet

    path = tmp_path / "table.parquet"
    schema = pa.schema([("a", pa.int64())])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        zeros = pa.table([pa.array(np.zeros(10**7, np.int64))], schema=schema)
        for _ in range(6):
            writer.write_table(zeros)
    assert path.stat().st_size < 10**6
    with pytest.raises(ValueError, match="60000000 rows"):
        from_parquet(path)
