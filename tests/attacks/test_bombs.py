"""Files of a few bytes that stand for gigabytes or end their reader: each costs only itself."""

import io
import json
import plistlib
import struct
import zipfile
import zlib
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from mammo_core.errors import DicomError, ModelError, RecipeError, RecordError, SourceError
from mammo_core.store import TooLargeError

KEY = "0123456789abcdef" * 2


def peak_mb(function):
    """Call a function; return the memory it took above what the process had (MB)."""

    def status():
        lines = Path("/proc/self/status").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        return [int(fields[name].split()[0]) // 1024 for name in ("VmRSS", "VmHWM")]

    Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets the peak
    before = status()[0]
    function()
    return status()[1] - before


# Model files


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """The parts of a small `.keras` archive."""
    from mammo_core.packaging.keras_file import import_keras

    keras = import_keras()
    path = tmp_path_factory.mktemp("whole") / "m.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).save(path)
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def written(path, parts, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in parts.items():
            with file.open(name, "w", force_zip64=True) as part:
                for piece in [content] if isinstance(content, bytes) else content:
                    part.write(piece)
    return path


def with_layer(parts, **config):
    """The parts with another configuration of the dense layer."""
    document = json.loads(parts["config.json"])
    document["config"]["layers"][1]["config"].update(config)
    return {**parts, "config.json": json.dumps(document).encode()}


def with_layers(parts, count):
    document = json.loads(parts["config.json"])
    dense = document["config"]["layers"][1]
    document["config"]["layers"][1:] = [
        {**dense, "config": {**dense["config"], "name": f"d{n}"}} for n in range(count)
    ]
    return {**parts, "config.json": json.dumps(document).encode()}


def gzip_weights():
    """HDF5 of 4 MB that inflates to 4 GB."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("vars/0", (1 << 30,), "f4", chunks=(1 << 24,), compression="gzip")
        file["vars/0"][: 1 << 25] = 0
    return buffer.getvalue()


ARCHIVES = {
    "600 MB of configuration": lambda parts: {
        **parts, "config.json": (b" " * 2**20 for _ in range(600))
    },
    "600 MB of metadata": lambda parts: {
        **parts, "metadata.json": (b" " * 2**20 for _ in range(600))
    },
    "6 GB of weights in 6 MB": lambda parts: {
        **parts, "model.weights.h5": (bytes(2**20) for _ in range(600))
    },
    "weights that inflate": lambda parts: {**parts, "model.weights.h5": gzip_weights()},
    "a layer of a billion units": lambda parts: with_layer(parts, units=10**9),
    "a layer of 10^18 units": lambda parts: with_layer(parts, units=10**18),
    "100,000 layers": lambda parts: with_layers(parts, 100_000),
    "nested lists": lambda parts: {**parts, "config.json": b"[" * 10**6},
    "a million values": lambda parts: {**parts, "config.json": b"[" + b"1," * 10**6 + b"1]"},
    "100,000 parts": lambda parts: {**parts, **{f"part-{n}": b"" for n in range(100_000)}},
}  # fmt: skip


@pytest.mark.parametrize("kind", ARCHIVES)
def test_a_keras_archive_that_is_a_bomb_is_refused(archive, tmp_path, kind):
    from mammo_core.models import load_model

    path = written(tmp_path / "m.keras", ARCHIVES[kind](archive))

    def load():
        with pytest.raises(ModelError, match=r"Cannot read the model m\.keras"):
            load_model(path)

    assert peak_mb(load) < 400


def test_the_archive_itself_is_read(archive, tmp_path):
    from mammo_core.models import load_model

    assert load_model(written(tmp_path / "m.keras", archive)).count_params() == 15


def test_weights_files_are_scanned_before_they_are_loaded(tmp_path):
    import keras

    from mammo_core.models.weights import _load_file

    class Network:
        name, application = "tiny", None

    path = tmp_path / "weights.h5"
    path.write_bytes(gzip_weights())
    body = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    with pytest.raises(ModelError, match=r"Cannot read the model weights\.h5"):
        _load_file(body, body, Network(), path, ((), ()))


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
    "a cell of megabytes over many lines": (f'{HEADER}\n1,"' + "x\n" * 200_000 + '"\n', "field"),
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_that_are_bombs_are_refused(source, kind):
    text, message = TABLES[kind]
    with pytest.raises(SourceError, match=message):
        source[1](table=text)


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\xd0\xcf\x11\xe0"])
def test_a_workbook_is_not_opened(tmp_path, start):
    """Neither .xlsx nor .xls is read: their parsers would need limits of their own."""
    from mammo_core.sources.csv_table import read_csv

    (tmp_path / "table.csv").write_bytes(start + bytes(100))
    with pytest.raises(SourceError, match="workbook of a spreadsheet"):
        read_csv(str(tmp_path / "table.csv"))


def test_contours_that_are_bombs_are_refused(tmp_path):
    from mammo_core.sources.masks import read_regions
    from mammo_core.sources.source_files import SourceFiles

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
    from mammo_core.sources.masks import Region

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
    [b"[" * 10**6, b'{"kind":' * 5000, b'{"a": [' + b"1," * 5_000_000 + b"1]}", b" " * 2**28],
    ids=["lists", "objects", "values", "size"],
)
def test_manifests_that_are_bombs_are_refused(file_store, data):
    from mammo_core.datasets.manifests import find

    id = "0" * 32
    file_store.write(f"datasets/images/{id}/manifest.json", data)
    with pytest.raises((RecordError, TooLargeError), match=r"cannot be read|too large"):
        find(file_store, "datasets/images", id)


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
