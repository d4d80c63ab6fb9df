import json

import pytest

from mammo_core.errors import ModelError, StoreError
from mammo_core.packaging import verify
from mammo_core.registry import (
    champion,
    models,
    open_package,
    promote,
    push,
    rollback,
    versions,
)
from mammo_core.store import open_store


def test_two_versions_and_the_champion(store, light_package):
    a, b = light_package("a"), light_package("b")
    assert [push(store, folder, "m").version for folder in (a, b)] == [1, 2]
    assert [ref.version for ref in versions(store, "m")] == [1, 2]
    assert champion(store, "m").version == 2
    # Pushing the older version again does not make it champion again.
    assert push(store, a, "m").version == 1
    assert champion(store, "m").version == 2
    assert push(store, a, "other").version == 1
    assert models(store) == ["m", "other"]


def test_an_unpublished_champion_is_an_error_and_not_a_missing_champion(store, light_package):
    push(store, light_package("a"), "m")
    store.delete("models/m/published/1.json")
    with pytest.raises(ModelError, match="no version 1"):
        champion(store, "m")
    store.write("models/m/champion", b"{")
    with pytest.raises(ModelError, match="cannot be read"):
        champion(store, "m")


def test_a_worse_champion_is_rolled_back_and_stays_withdrawn(store, light_package):
    a, b, c = (light_package(content) for content in "abc")
    push(store, a, "m")
    with pytest.raises(ModelError, match="a previous champion"):
        rollback(store, "m")
    push(store, b, "m")
    back = rollback(store, "m")
    assert (back.version, back.model_id) == (1, verify(a).model_id)
    assert champion(store, "m").version == 1
    assert open_package(f"{store.uri}/models/m").manifest == verify(a).manifest
    # Running the same pipeline again reuses its version and keeps it withdrawn; a new model wins.
    assert push(store, b, "m").version == 2
    assert champion(store, "m").version == 1
    assert push(store, c, "m").version == 3
    assert champion(store, "m").version == 3
    assert rollback(store, "m").version == 1
    assert promote(store, "m", 2).version == 2
    assert champion(store, "m").version == 2
    assert rollback(store, "m").version == 1
    with pytest.raises(ModelError, match="published version: 1, 2, 3"):
        promote(store, "m", 4)
    assert [ref.version for ref in versions(store, "m")] == [1, 2, 3]


def test_promoting_the_champion_changes_nothing(store, light_package):
    push(store, light_package("a"), "m")
    before = store.read("models/m/champion")
    promote(store, "m", 1)
    assert store.read("models/m/champion") == before


def test_a_damaged_version_is_not_promoted(store, light_package):
    push(store, light_package("a"), "m")
    push(store, light_package("b"), "m")
    store.write("models/m/1/card.json", b"{} ")
    for move in (lambda: promote(store, "m", 1), lambda: rollback(store, "m")):
        with pytest.raises(ModelError, match=r"card\.json was changed"):
            move()
    assert champion(store, "m").version == 2


def test_the_loser_of_a_race_for_the_champion_decides_again(store, light_package, monkeypatch):
    """A concurrent rollback and push: neither is lost."""
    for content in "ab":
        push(store, light_package(content), "m")
    c = light_package("c")
    real, pushed = store.write_if, []

    def slow(key, data, previous):
        if key == "models/m/champion" and not pushed:
            pushed.append(True)
            push(open_store(store.uri), c, "m")
        return real(key, data, previous)

    monkeypatch.setattr(store, "write_if", slow)
    # When the write fails, the champion is 3 and the one before it is 2.
    assert rollback(store, "m").version == 2
    assert champion(store, "m").version == 2


class Careless:
    """A store that ignores conditions, as some servers do."""

    def __init__(self, store):
        self._store = store

    def __getattr__(self, name):
        return getattr(self._store, name)

    def write_if(self, key, data, previous):
        self._store.write(key, data)
        return True

    def put_if(self, key, data, etag):
        self._store.write(key, data)
        return "any"


def test_a_store_without_conditional_writes_is_refused_at_start(tmp_path, light_package):
    careless = Careless(open_store(f"file://{tmp_path}/careless"))
    for use in (
        lambda: push(careless, light_package("a"), "m"),
        lambda: promote(careless, "m", 1),
        lambda: rollback(careless, "m"),
    ):
        with pytest.raises(StoreError, match="conditional writes"):
            use()
    assert [key for key in careless.list("") if not key.startswith(".")] == []


def test_pointer_is_plain_json(store, light_package):
    push(store, light_package("a"), "m")
    pointer = json.loads(store.read("models/m/champion"))
    assert pointer["version"] == 1 and len(pointer["model_id"]) == 64
