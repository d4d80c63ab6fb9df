"""Options of the conversion: their effect on records, statistics and id."""

import numpy as np
import pytest

from mammo_core.datasets import ImageRecord
from mammo_core.datasets.tables import read_table
from mammo_core.datasets.tfrecord import read_records
from mammo_core.dicom import read_image
from mammo_core.imaging import statistics
from mammo_core.ingest.convert import ConvertConfig, convert, convert_id
from mammo_core.ingest.runner import RunnerConfig
from mammo_core.preprocessing import Conversion, Geometry, Preprocessing
from tests.support.ingest import read_tables

GEOMETRY = Geometry(height=96, width=72)


def run(store, source, **options):
    manifest = convert(
        store,
        source.images,
        source.lesions,
        root=source.root,
        config=ConvertConfig(geometry=GEOMETRY, **options),
        runner=RunnerConfig(workers=1),
        lineage={},
    )
    records = [
        ImageRecord.from_bytes(data)
        for file in manifest.files_like("shard-")
        for data in read_records(store.fetch(file.key))
    ]
    return manifest, records


def test_records_equal_the_output_of_preprocessing(file_store, phantom_tables):
    """Scoring calls `Preprocessing.from_source`, which must give the same pixels."""
    options = {"stretch": "min_max", "suppress_artifacts": True, "orientation": "chest_left"}
    manifest, records = run(file_store, phantom_tables, **options)
    assert manifest.facts["conversion"] == Conversion(**options).model_dump(mode="json")
    preprocessing = Preprocessing(
        geometry=GEOMETRY, mean=0, conversion=manifest.facts["conversion"]
    )
    rows = phantom_tables.images.set_index("image_id")
    for record in records:
        row = rows.loc[record.image_id]
        image = read_image(phantom_tables.root / row["path"])
        pixels = preprocessing.from_source(image.pixels, image.facts.bits_stored, row["laterality"])
        assert np.array_equal(record.pixels, pixels)


def test_masks_are_cropped_and_flipped_like_their_image(file_store, phantom_tables):
    _, plain = run(file_store, phantom_tables)
    manifest, oriented = run(
        file_store, phantom_tables, crop_to_breast=True, orientation="chest_left"
    )
    table = read_table(file_store, manifest, "statistics.parquet").set_index("image_id")
    sides = phantom_tables.images.set_index("image_id")["laterality"]
    assert {"LEFT", "RIGHT"} <= set(sides)
    for before, after in zip(plain, oriented, strict=True):
        row = table.loc[after.image_id]
        assert row["flipped"] == (sides[after.image_id] == "RIGHT")
        assert row["crop_width"] * row["crop_height"] < row["source_rows"] * row["source_columns"]
        for old, new in zip(before.lesions, after.lesions, strict=True):
            # The lesion's center moves with the crop and the flip.
            y, x = np.argwhere(old.mask).mean(axis=0) + 0.5
            x = x / 72 * row["source_columns"] - row["crop_x"]
            y = y / 96 * row["source_rows"] - row["crop_y"]
            x, y = x / row["crop_width"], y / row["crop_height"]
            center = (np.argwhere(new.mask).mean(axis=0) + 0.5) / (96, 72)
            assert center == pytest.approx((y, 1 - x if row["flipped"] else x), abs=0.03)


def test_statistics_contain_what_a_frame_needs(file_store, phantom_tables):
    manifest, records = run(file_store, phantom_tables)
    table = read_table(file_store, manifest, "statistics.parquet").set_index("image_id")
    for record in records:
        row = table.loc[record.image_id]
        for name, value in statistics(record.pixels).items():
            assert row[name] == pytest.approx(value)
        assert (row["crop_width"], row["crop_height"], row["flipped"]) == (
            record.source_columns,
            record.source_rows,
            0,
        )


def test_every_option_is_part_of_the_id(phantom_tables):
    options = [
        {},
        {"stretch": "none"},
        {"voi": True},
        {"for_processing": True},
        {"median_filter": 3},
        {"suppress_artifacts": True},
        {"remove_pectoral": True},
        {"crop_to_breast": True},
        {"orientation": "chest_left"},
    ]
    ids = [
        convert_id(
            ConvertConfig(geometry=GEOMETRY, **option),
            phantom_tables.images,
            phantom_tables.lesions,
        )
        for option in options
    ]
    assert len(set(ids)) == len(options)
    # The laterality counts only where it decides what is flipped.
    other = phantom_tables.images.assign(laterality="LEFT")
    plain = ConvertConfig(geometry=GEOMETRY)
    oriented = ConvertConfig(geometry=GEOMETRY, orientation="chest_left")
    assert convert_id(plain, other, phantom_tables.lesions) == ids[0]
    assert convert_id(oriented, other, phantom_tables.lesions) != ids[-1]


def test_an_image_without_a_breast_is_a_reject(file_store, changeable):
    import pydicom

    path = changeable.root / changeable.images["path"].iloc[0]
    data = pydicom.dcmread(path)
    data.decompress() if data.file_meta.TransferSyntaxUID.is_compressed else None
    data.PixelData = bytes(len(data.PixelData))
    data.save_as(path)
    source = read_tables(changeable.root)
    for plausibility, expected in (
        ({}, "(constant)"),
        ({"constant": "accept"}, "No breast was found"),
    ):
        manifest, _ = run(file_store, source, crop_to_breast=True, plausibility=plausibility)
        rejects = read_table(file_store, manifest, "rejects.parquet")
        reasons = [row.reason for row in rejects.itertuples() if row.kind == "image"]
        assert len(reasons) == 1 and expected in reasons[0]
