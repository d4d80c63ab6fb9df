import shutil

import pytest

from mammo_core.errors import ModelError
from mammo_core.packaging import verify
from mammo_core.registry import (
    champion,
    models,
    open_package,
    push,
    resolution,
    versions,
)
from tests.support.dying_store import DyingStore


def test_an_empty_registry(store):
    assert champion(store, "m") is None
    assert versions(store, "m") == [] and models(store) == []
    for uri in (f"{store.uri}/models/m", f"{store.uri}/models/m/1"):
        with pytest.raises(ModelError):
            open_package(uri)


def test_push_and_load_back(store, built):
    pushed = push(store, built[0], "m")
    assert (pushed.version, pushed.new) == (1, True)
    assert pushed.uri == f"{store.uri}/models/m/1"
    best = champion(store, "m")
    assert best.model_id == verify(built[0]).model_id and best.uri == pushed.uri
    assert open_package(pushed.uri).load().model_id == best.model_id
    assert models(store) == ["m"]


def test_every_form_of_a_model_uri_resolves(store, light_package, tmp_path, monkeypatch):
    a, b = light_package("a"), light_package("b")
    push(store, a, "m")
    push(store, b, "m")
    ids = {name: verify(folder).model_id for name, folder in (("a", a), ("b", b))}
    for uri, expected in (
        (str(a), "a"),
        (a.as_uri(), "a"),
        (f"{store.uri}/models/m/1", "a"),
        (f"{store.uri}/models/m/1/", "a"),
        (f"{store.uri}/models/m", "b"),
        (str(tmp_path / "store/models/m"), "b"),
        (str(tmp_path / "store/models/m/1"), "a"),
    ):
        assert open_package(uri).model_id == ids[expected], uri
    monkeypatch.chdir(tmp_path)
    assert open_package("store/models/m/1").model_id == ids["a"]


@pytest.mark.parametrize(
    "tail", ["models/x", "models/m/3", "models/m/0", "models/m/1/package/x", "models/../m", "m"]
)
def test_an_unknown_model_is_an_error(store, light_package, tail):
    push(store, light_package("a"), "m")
    with pytest.raises(ModelError):
        open_package(f"{store.uri}/{tail}")


def test_an_unknown_version_names_the_published_ones(store, light_package):
    push(store, light_package("a"), "m")
    with pytest.raises(ModelError, match="published version: 1"):
        open_package(f"{store.uri}/models/m/7")


def test_a_package_replaced_in_the_store_is_refused(store, light_package):
    a, b = light_package("a"), light_package("b")
    push(store, a, "m")
    for path in b.iterdir():
        store.put_file(f"models/m/1/{path.name}", path)
    with pytest.raises(ModelError, match="not what was published"):
        open_package(f"{store.uri}/models/m/1")


def test_a_store_that_fetches_files_one_by_one(store, light_package, tmp_path, monkeypatch):
    folder = light_package("a")
    push(store, folder, "m")

    class Remote(DyingStore):
        def fetch(self, key):
            folder = tmp_path / "fetched" / key.replace("/", "+")
            folder.mkdir(parents=True, exist_ok=True)
            return shutil.copyfile(self._store.fetch(key), folder / key.rpartition("/")[2])

    monkeypatch.setattr(resolution, "open_store", lambda uri: Remote(store, 0))
    opened = open_package("s3://bucket/prefix/models/m")
    assert opened.manifest == verify(folder).manifest
    assert not opened.folder.is_relative_to(tmp_path / "store")


def test_a_version_reads_its_lineage(store, light_package):
    push(store, light_package("a"), "m")
    (ref,) = versions(store, "m")
    assert ref.lineage(store) == champion(store, "m").lineage(store) == {}


@pytest.mark.parametrize("damage", [b"{", b"[]", None])
def test_a_damaged_or_missing_lineage_is_an_error(store, light_package, damage):
    push(store, light_package("a"), "m")
    if damage is None:
        store.delete("models/m/1/lineage.json")
    else:
        store.write("models/m/1/lineage.json", damage)
    with pytest.raises(ModelError, match=r"(?s)Version 1 of m is not what.* lineage\.json"):
        champion(store, "m").lineage(store)
