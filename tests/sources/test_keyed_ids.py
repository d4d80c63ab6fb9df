"""Ids of images under the site key: no output names the digest of a file."""

import gzip
import hashlib
import hmac

import cv2
import numpy as np
import pytest

from mammo_core.datasets.tables import from_parquet
from mammo_core.errors import SourceError
from mammo_core.ingest.convert import ConvertConfig, convert
from mammo_core.ingest.runner import RunnerConfig
from mammo_core.preprocessing import Geometry
from mammo_core.sources import SourceConfig
from mammo_core.sources.files.file_fact_cache import FileFactCache
from mammo_core.sources.index import index
from tests.support.drawings import draw_breast

KEY = "0123456789abcdef" * 4


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A table of two images, one with a mask."""
    monkeypatch.setenv("MAMMO_SITE_KEY", KEY)
    for seed, name in enumerate(("a", "b")):
        cv2.imwrite(str(tmp_path / f"{name}.png"), draw_breast(seed, 16))
    mask = np.zeros((96, 72), np.uint8)
    mask[20:40, 20:40] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    table = "patient_id,image_path,laterality,view,label,lesion_type,lesion_mask\n"
    table += "1,a.png,L,CC,1,mass,mask.png\n2,b.png,L,CC,0,,\n"
    (tmp_path / "table.csv").write_text(table)
    return tmp_path


def source(tree, **changes):
    return SourceConfig(adapter="table", root=str(tree), tables=str(tree / "table.csv"), **changes)


def converted(tree, store, tables):
    return convert(
        store,
        tables.images,
        tables.lesions,
        root=str(tree),
        config=ConvertConfig(geometry=Geometry(height=48, width=36)),
        runner=RunnerConfig(workers=1),
        lineage={},
    )


def digests(tree):
    return {
        hashlib.sha256((tree / name).read_bytes()).hexdigest()
        for name in ("a.png", "b.png", "mask.png")
    }


def test_ids_are_digests_by_default(tree):
    tables = index(source(tree))
    assert set(tables.images["image_id"]) | set(tables.lesions["mask_sha256"]) == digests(tree)


def test_keyed_ids_name_no_digest(tree, file_store):
    config = source(tree, image_id="keyed")
    files = config.files()
    files.fact_cache = FileFactCache()
    tables = index(config, files=files)
    expected = {
        hmac.new(KEY.encode(), b"file\0" + digest.encode(), hashlib.sha256).hexdigest()[:40]
        for digest in digests(tree)
    }
    assert set(tables.images["image_id"]) | set(tables.lesions["mask_sha256"]) == expected
    assert tables.lesions["image_id"].isin(tables.images["image_id"]).all()
    files.fact_cache.write(file_store, files.uri)

    manifest = converted(tree, file_store, tables)
    assert manifest.counts["images"] == 2 and manifest.counts["lesions"] == 1
    # Nothing that was written names a file, compressed or not.
    for key in file_store.list(""):
        data = file_store.read(key)
        texts = [data]
        if key.endswith(".gz"):
            texts.append(gzip.decompress(data))
        if key.endswith(".parquet"):
            texts.append(from_parquet(data).to_csv().encode())
        for digest in digests(tree):
            assert not [text for text in texts if digest.encode() in text], key


def test_a_changed_file_is_noticed_under_a_key(tree, file_store):
    tables = index(source(tree, image_id="keyed"))
    data = (tree / "b.png").read_bytes()
    (tree / "b.png").write_bytes((tree / "a.png").read_bytes())
    with pytest.raises(SourceError, match=r"b\.png changed since it was indexed") as caught:
        converted(tree, file_store, tables)
    assert hashlib.sha256(data).hexdigest() not in str(caught.value)


def test_keyed_ids_need_the_site_key(tree, monkeypatch):
    monkeypatch.delenv("MAMMO_SITE_KEY")
    monkeypatch.setenv("MAMMO_SITE_KEY_FILE", str(tree / "absent"))
    with pytest.raises(SourceError, match="no site key"):
        source(tree, image_id="keyed").files()


def test_another_key_gives_other_ids(tree, monkeypatch):
    first = index(source(tree, image_id="keyed")).images
    monkeypatch.setenv("MAMMO_SITE_KEY", KEY[::-1])
    second = index(source(tree, image_id="keyed")).images
    assert not set(first["image_id"]) & set(second["image_id"])
