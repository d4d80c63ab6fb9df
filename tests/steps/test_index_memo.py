"""The step `index` reuses its tables as long as the source is unchanged."""

import os
import shutil

import pytest

from mammo_core.errors import SourceError
from mammo_core.phantom import PhantomConfig, create
from mammo_core.recipes import load_recipe
from mammo_core.runs import Run
from mammo_core.sources import SourceFiles
from mammo_core.sources.source_index import listing_digest
from mammo_core.sources.tables.table_digests import referenced_tables
from mammo_core.steps import index
from mammo_core.store import open_store
from mammo_core.store.upload import upload


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("memo") / "tree"
    create(root, PhantomConfig(patients=4, seed=4, height=96, width=72), workers=1)
    return root


def run_index(tmp_path, root, *overrides):
    run = Run(open_store(str(tmp_path / "results")), "r")
    run.write_recipe(load_recipe("phantom", [f"source.root={root}", *overrides]))
    return index.execute(run)


def test_tables_are_reused_until_the_files_change(store, tree, tmp_path):
    files = SourceFiles.open(str(tree))
    upload(store, {f"in/{name}": files.local(name) for name in files.names()})
    root = f"{store.uri}/in"
    first, reused = run_index(tmp_path, root)
    assert not reused
    assert run_index(tmp_path, root) == (first, True)
    # Other settings, the same tables: the files are read again, and the id is the same.
    again, reused = run_index(tmp_path, root, "source.partial=true")
    assert (again.id, reused) == (first.id, False)
    store.delete(f"in/{next(name for name in files.names() if name.endswith('.dcm'))}")
    other, reused = run_index(tmp_path, root, "max_reject_share=1.0")
    assert not reused and other.id != first.id
    assert other.counts["rejects"] > 0


def test_tables_in_another_folder_count(tree, tmp_path):
    for path in [*tree.glob("*.csv"), *tree.glob("csv/*.csv"), *tree.glob("tables/*.csv")]:
        shutil.copy(path, tmp_path)

    def digest():
        recipe = load_recipe("phantom", [f"source.root={tree}", f"source.tables={tmp_path}/"])
        return listing_digest(recipe.source, recipe.source.files())

    before = digest()
    assert digest() == before
    path = next(tmp_path.glob("*.csv"))
    path.write_text(path.read_text() + "\n")
    assert digest() != before


def test_a_table_that_is_one_file_counts_by_its_bytes(tree, tmp_path):
    def digest():
        recipe = load_recipe(
            "phantom", [f"source.root={tree}", f"source.tables={tmp_path}/cases.csv"]
        )
        return listing_digest(recipe.source, recipe.source.files())

    (tmp_path / "cases.csv").write_text("a")
    before = digest()
    (tmp_path / "cases.csv").write_text("b")
    assert digest() != before


def test_a_missing_source_is_an_error_with_a_remedy(tmp_path):
    with pytest.raises(SourceError, match="mammo phantom create"):
        run_index(tmp_path, tmp_path / "none")


def test_a_table_that_changed_within_its_size_and_time_counts(tree, tmp_path):
    """A corrected label can have as many bytes as the old one, and tools keep times."""
    table = tmp_path / "own.csv"
    lists = tmp_path / "root"
    lists.mkdir()
    named, other = lists / "pat.lst", lists / "notes.log"
    for path in (table, named, other):
        path.write_text("patient,0\n")
    recipe = load_recipe("phantom", [
        "source.adapter=folders", f"source.root={lists}", f"source.tables={table}",
        "source.folders.patient_lists={train: pat.lst}",
    ])  # fmt: skip

    def digests():
        return listing_digest(recipe.source, recipe.source.files()), referenced_tables(
            recipe.source
        )

    before = digests()
    for path in (table, named):
        status = path.stat()
        path.write_text("patient,1\n")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        after = digests()
        assert after[0] != before[0] and after[1] != before[1]
        before = after
    assert [name for name, _ in before[1]] == ["root/pat.lst", "table"]
