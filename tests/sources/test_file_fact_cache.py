"""Facts about files are computed once, and again when the files change."""

import shutil

import pytest

from mammo_core.datasets.outputs import make_output
from mammo_core.phantom import PhantomConfig, create
from mammo_core.sources import SourceConfig, index
from mammo_core.sources.files.file_fact_cache import FileFactCache
from mammo_core.sources.files.file_inspection import inspect_files
from mammo_core.sources.source_index import make_tables
from mammo_core.store import open_store


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("fact_cache") / "tree"
    create(root, PhantomConfig(patients=4, seed=4, height=96, width=72), workers=1)
    return root


@pytest.fixture
def reads(monkeypatch):
    """Names of the files whose pixels were decoded or whose bytes were hashed."""
    from mammo_core.sources.files import file_inspection, image_files

    names = []
    for module, function in ((file_inspection, "read_image"), (image_files, "read_image")):
        original = getattr(module, function)

        def counted(path, name, *more, original=original, **options):
            names.append(name)
            return original(path, name, *more, **options)

        monkeypatch.setattr(module, function, counted)
    hashed = image_files.file_sha256

    def counted_hash(path):
        names.append(str(path))
        return hashed(path)

    monkeypatch.setattr(image_files, "file_sha256", counted_hash)
    return names


def read(root, fact_cache):
    config = SourceConfig(root=str(root))
    files = config.files()
    files.fact_cache = fact_cache
    tables = index(config, files=files)
    return tables, inspect_files(files, tables.images)


def is_same(one, other):
    return all(
        getattr(one[0], name).equals(getattr(other[0], name))
        for name in ("images", "lesions", "rejects")
    ) and (one[1].spacing, one[1].pixel_sha256, one[1].thumbnails.keys()) == (
        other[1].spacing,
        other[1].pixel_sha256,
        other[1].thumbnails.keys(),
    )


def test_only_changed_files_are_read(tree, tmp_path, reads, file_store):
    root = tmp_path / "tree"
    shutil.copytree(tree, root)
    cache = FileFactCache()
    first = read(root, cache)
    cache.write(file_store, root.as_uri())
    assert reads
    reads.clear()
    again = read(root, FileFactCache.read(file_store, root.as_uri()))
    assert reads == [] and is_same(first, again)
    for image_id, thumbnail in first[1].thumbnails.items():
        assert (thumbnail == again[1].thumbnails[image_id]).all()
    # One file is written again with other bytes of the same length.
    path = root / first[0].images["path"].iloc[3]
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    changed = read(root, FileFactCache.read(file_store, root.as_uri()))
    assert changed[0].images["image_id"].tolist() != first[0].images["image_id"].tolist()
    # The image and, since its size may be another, its mask: each hashed and decoded once.
    masks = first[0].lesions.set_index("image_id")["mask_path"]
    mask = str(masks[first[0].images["image_id"].iloc[3]])
    names = {str(path), str(path.relative_to(root)), mask, str(root / mask)}
    assert len(reads) == len(set(reads)) and set(reads) == names
    assert is_same(changed, read(root, None))


def test_a_broken_file_is_rejected_again_for_the_same_reason(tree, tmp_path, reads, file_store):
    root = tmp_path / "tree"
    shutil.copytree(tree, root)
    images = index(SourceConfig(root=str(root))).images
    (root / images["path"].iloc[0]).write_bytes(b"no image")
    first = read(root, cache := FileFactCache())
    cache.write(file_store, "x")
    reads.clear()
    assert is_same(first, read(root, FileFactCache.read(file_store, "x")))
    assert reads == [] and len(first[0].rejects)


def test_a_damaged_cache_is_rebuilt(tree, file_store):
    cache = FileFactCache()
    first = read(tree, cache)
    cache.write(file_store, "x")
    (key,) = file_store.list("tables/file-facts")
    file_store.write(key, b"not what was written")
    assert is_same(first, read(tree, FileFactCache.read(file_store, "x")))


def test_publishing_keeps_the_cache(tree, tmp_path, reads):
    store = open_store(str(tmp_path / "store"))
    root = tmp_path / "tree"
    shutil.copytree(tree, root)
    source = SourceConfig(root=str(root))

    def publish():
        return make_output(store, "tables/of-source", lambda attempt: make_tables(attempt, source))

    first = publish()
    reads.clear()
    (root / "note.txt").write_text("so that the listing changes")
    assert publish().id == first.id and reads == []
