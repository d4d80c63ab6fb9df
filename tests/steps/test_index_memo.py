"""The step `index` finds what it made before, for as long as the source is the same."""

import shutil

import pytest

from mammo_core.errors import SourceError
from mammo_core.phantom import PhantomConfig, create
from mammo_core.recipes import load_recipe
from mammo_core.sources import SourceFiles
from mammo_core.steps.base import StepContext
from mammo_core.steps.data import _listing
from mammo_core.steps.data import index as index_step
from mammo_core.store import open_store
from mammo_core.store.upload import upload


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("memo") / "tree"
    create(root, PhantomConfig(patients=4, seed=4, height=96, width=72), workers=1)
    return root


def indexed(tmp_path, root, *overrides):
    recipe = load_recipe("phantom", [f"source.root={root}", *overrides])
    context = StepContext("index", "r", open_store(str(tmp_path / "results")), recipe)
    return index_step.__wrapped__(context), context.found


def test_found_again_until_the_files_change(store, tree, tmp_path):
    files = SourceFiles.open(str(tree))
    upload(store, {f"in/{name}": files.local(name) for name in files.names()})
    root = f"{store.uri}/in"
    first, found = indexed(tmp_path, root)
    assert not found
    assert indexed(tmp_path, root) == (first, True)
    # Other settings, the same tables: read anew, and the same id.
    again, found = indexed(tmp_path, root, "source.partial=true")
    assert (again.id, found) == (first.id, False)
    store.delete(f"in/{next(name for name in files.names() if name.endswith('.dcm'))}")
    other, found = indexed(tmp_path, root, "max_reject_share=1.0")
    assert not found and other.id != first.id
    assert other.counts["rejects"] > 0


def test_tables_elsewhere_count_too(tree, tmp_path):
    for path in [*tree.glob("*.csv"), *tree.glob("csv/*.csv"), *tree.glob("tables/*.csv")]:
        shutil.copy(path, tmp_path)

    def digest():
        recipe = load_recipe("phantom", [f"source.root={tree}", f"source.tables={tmp_path}/"])
        return _listing(recipe.source, recipe.source.files())

    before = digest()
    assert digest() == before
    path = next(tmp_path.glob("*.csv"))
    path.write_text(path.read_text() + "\n")
    assert digest() != before


def test_a_table_that_is_one_file_counts_by_its_bytes(tree, tmp_path):
    def digest():
        recipe = load_recipe(
            "phantom", [f"source.root={tree}", f"source.tables={tmp_path}/own.csv"]
        )
        return _listing(recipe.source, recipe.source.files())

    (tmp_path / "own.csv").write_text("a")
    before = digest()
    (tmp_path / "own.csv").write_text("b")
    assert digest() != before


def test_no_source_is_told_with_what_to_do(tmp_path):
    with pytest.raises(SourceError, match="mammo phantom create"):
        indexed(tmp_path, tmp_path / "none")
