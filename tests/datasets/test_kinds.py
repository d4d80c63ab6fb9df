"""Kinds: ids, manifests and typed facts of outputs; each kind is declared once."""

import pytest
from pydantic import ValidationError

from mammo_core.datasets import content_id, publish
from mammo_core.datasets.kinds import Facts, Kind, register_kind, registered_kinds
from mammo_core.errors import RecordError
from mammo_core.runs.kinds import KINDS


class ThingFacts(Facts):
    size: int
    names: tuple[str, ...] = ()


THING = Kind("things", 2, ThingFacts)


def thing(**changes):
    return THING.manifest("x", config={"a": 1}, facts=ThingFacts(size=3, names=("n",)), **changes)


def test_facts_are_json_in_the_manifest_and_a_model_in_code(file_store):
    manifest = publish(file_store, thing(counts={"records": 1}, lineage={"images": "i"}))
    assert manifest.facts == {"size": 3, "names": ["n"]}
    assert (manifest.folder, manifest.revision) == ("things/x", 2)
    assert THING.read(file_store, "x") == manifest
    assert THING.facts_of(manifest) == ThingFacts(size=3, names=("n",))


def test_a_manifest_in_memory_is_in_the_order_of_the_stored_one(file_store):
    """Reports list what they are given: by the run that made it, and by one that reads it."""
    manifest = THING.manifest(
        "x",
        config={"b": {"d": 1, "c": 2}, "a": 1},
        facts=ThingFacts(size=3),
        counts={"records": 1, "bytes": 2},
        lineage={"tables": "t", "images": "i"},
    )
    published = publish(file_store, manifest)
    assert str(THING.read(file_store, "x")) == str(published) == str(manifest)


def test_the_id_depends_on_folder_and_revision():
    inputs = [("i", "1")]
    assert THING.content_id({"a": 1}, inputs) == content_id("things", 2, {"a": 1}, inputs)
    assert THING.content_id({"a": 1}) != Kind("things", 3, ThingFacts).content_id({"a": 1})


def test_facts_of_another_kind_or_shape_are_refused():
    other = thing().model_copy(update={"kind": "others"})
    with pytest.raises(RecordError, match="another kind"):
        THING.facts_of(other)
    for facts in ({}, {"size": 3, "color": "gray"}, {"size": "large"}):
        with pytest.raises(RecordError, match=r"facts in the manifest things/x.*not valid"):
            THING.facts_of(thing().model_copy(update={"facts": facts}))
    with pytest.raises(ValidationError):
        ThingFacts(size=3, color="gray")


def test_an_output_that_is_not_published_is_not_there(file_store):
    assert THING.find(file_store, "x") is None and THING.find(file_store, "") is None
    with pytest.raises(RecordError, match="no output 'x' under things/"):
        THING.read(file_store, "x")


def test_a_folder_belongs_to_one_kind(monkeypatch):
    monkeypatch.setattr("mammo_core.datasets.kinds._REGISTERED", {})
    assert register_kind(THING) is THING
    assert register_kind(THING) is THING and registered_kinds() == {"things": THING}
    with pytest.raises(RecordError, match="Two kinds of outputs use the folder things"):
        register_kind(Kind("things", 1, ThingFacts))


def test_every_kind_has_its_own_folder_and_documented_facts():
    for folder, kind in KINDS.items():
        assert folder == kind.folder and kind.revision >= 1
        assert "Attributes:" in (kind.facts.__doc__ or "")
        for name in kind.facts.model_fields:
            documented = [parent.__doc__ or "" for parent in kind.facts.__mro__]
            assert any(f"{name}: " in text for text in documented), (folder, name)
