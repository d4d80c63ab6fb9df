"""Tables as Parquet."""

import subprocess
import sys

import numpy as np
import pandas as pd

from mammo_core.datasets import Manifest, publish
from mammo_core.datasets.tables import EncodedTable, put_table, read_table, to_parquet


def table():
    return pd.DataFrame(
        {"id": ["b", "a"], "n": [2, 1], "x": [0.5, np.nan], "flag": [True, False], "t": ["", "é"]}
    )


def test_equal_rows_give_equal_bytes():
    first = table()
    second = first.set_index(pd.Index([7, 9])).copy()
    second.attrs["note"] = "not part of the rows"
    assert to_parquet(first) == to_parquet(second)
    assert to_parquet(first) == to_parquet(pd.concat([first[:1], first[1:]]))
    assert to_parquet(first) != to_parquet(first[::-1])
    assert b"pandas" not in to_parquet(first)  # which would contain library versions


def test_a_table_round_trips(store):
    file = put_table(store, "tables/x", "t.parquet", table())
    manifest = publish(store, Manifest(kind="tables", id="x", revision=1, config={}, files=(file,)))
    assert file.count == 2
    pd.testing.assert_frame_equal(read_table(store, manifest, "t.parquet"), table())


def test_a_table_without_rows_keeps_its_columns(file_store):
    empty = pd.DataFrame(columns=["item", "kind"])
    file = put_table(file_store, "tables/x", "t.parquet", empty)
    read = pd.read_parquet(file_store.fetch(file.key))
    assert list(read.columns) == ["item", "kind"] and len(read) == 0


def test_reading_leaves_no_thread_behind(tmp_path):
    # A thread of Arrow that is still starting when the process ends aborts it (SIGABRT).
    path = tmp_path / "t.parquet"
    path.write_bytes(to_parquet(table()))
    code = f"""
import os, pathlib
from mammo_core.datasets.tables import from_parquet
import pyarrow.parquet
before = len(os.listdir("/proc/self/task"))
path = pathlib.Path({str(path)!r})
assert from_parquet(path).equals(from_parquet(path.read_bytes()))
print(len(os.listdir("/proc/self/task")) - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


def test_an_encoded_table_is_the_file_that_is_put(file_store):
    table = pd.DataFrame({"id": ["a", "b"], "number": [1, 2]})
    encoded = EncodedTable.of("t.parquet", table)
    one, other = encoded.put(file_store, "one"), put_table(file_store, "other", "t.parquet", table)
    assert encoded.digest == ("t.parquet", one.sha256) == ("t.parquet", other.sha256)
    assert (one.count, one.size) == (2, len(encoded.data))
