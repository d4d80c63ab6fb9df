"""Tables of a source: packed and unpacked, and work on many items in threads."""

import pytest

from mammo_core.datasets.tables import to_parquet
from mammo_core.sources.tables.source_tables import (
    IMAGE_COLUMNS,
    LESION_COLUMNS,
    REJECT_COLUMNS,
    PackedTables,
    SourceTables,
    run_all,
    table_of,
    threads,
)

CELLS = {
    "image_id": "a" * 64, "path": "x/1.dcm", "breast_density": 2, "malignant": 1,
    "bits_stored": 12, "rows": 3328, "columns": 2560, "acquisition_order": 0, "specimen": False,
}  # fmt: skip


def source_of(*rows):
    images = table_of([{**CELLS, **row} for row in rows], IMAGE_COLUMNS)
    lesions, rejects = table_of([], LESION_COLUMNS), table_of([], REJECT_COLUMNS)
    return SourceTables(images, lesions, rejects, {"warnings": []})


@pytest.mark.parametrize(
    "rows",
    [
        [{"implant": True, "area_mm2": 4.5}, {"implant": None, "subtype": "Luminal A"}],
        [{"implant": True}, {"implant": False}],
        [{"implant": None}],
        [],
    ],
)
def test_packed_tables_keep_cells_types_and_bytes(rows):
    source = source_of(*rows)
    again = PackedTables.of(source).unpacked()
    for name in ("images", "lesions", "rejects"):
        before, after = getattr(source, name), getattr(again, name)
        assert after.dtypes.equals(before.dtypes)
        assert to_parquet(after) == to_parquet(before)
        cells = zip(before.to_numpy().ravel(), after.to_numpy().ravel(), strict=True)
        # An unknown cell may be None or NaN; the others are as they were, True is not 1.
        assert all(
            a is b or a == b or (a != a and b is None) or (a != a and b != b) for a, b in cells
        )
    assert again.facts is source.facts


@pytest.mark.parametrize("count", [0, 3, 511, 512, 5_000])
def test_results_of_threads_have_the_order_of_the_items(count):
    calls = []
    with threads(4) as pool:
        results = run_all(
            pool,
            lambda item: item * 2,
            list(range(count)),
            "numbers",
            lambda *call: calls.append(call),
        )
    assert results == list(range(0, 2 * count, 2))
    assert calls == sorted(calls)
    assert [total for _, _, total in calls] == [count] * len(calls)
    assert not count or calls[-1] == ("numbers", count, count)


def test_an_error_of_one_item_is_raised():
    with threads(2) as pool, pytest.raises(ZeroDivisionError):
        run_all(pool, lambda item: 1 // item, [1, 0, 2], "numbers", None)
