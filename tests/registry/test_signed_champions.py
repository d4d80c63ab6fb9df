"""The pointer to the champion: signed, numbered, and never missing unnoticed."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mammo_core.cli.models import app
from mammo_core.errors import ModelError
from mammo_core.registry import (
    champion,
    open_for_push,
    open_package,
    promote,
    push,
    read_entries,
    rollback,
)
from mammo_core.registry.champion_entries import ChampionEntry, digest_of
from mammo_core.registry.promotion import begin
from tests.support.dying_store import DyingStore, Killed

POINTER = "models/m/champion"
YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).date()


@pytest.fixture(params=["signed", "unsigned"])
def policy(request, keys, configure):
    """With a trust policy and a key, and without either."""
    if request.param == "signed":
        configure([keys.mine], keys.mine)
    else:
        configure()


def rollback_is_refused(store):
    with pytest.raises(ModelError, match="cannot be rolled back"):
        rollback(store, "m")
    return True


def history(store):
    return [(e.sequence, e.action, e.version) for e in read_entries(store, "m")]


def test_every_change_is_an_entry(store, light_package, policy):
    assert champion(store, "m") is None and read_entries(store, "m") == []
    begin(store, "m")
    assert champion(store, "m") is None
    for content in "ab":
        push(store, light_package(content), "m")
    assert rollback(store, "m").sequence == 4
    promote(store, "m", 2)
    assert history(store) == [
        (1, "begin", None),
        (2, "push", 1),
        (3, "push", 2),
        (4, "rollback", 1),
        (5, "promote", 2),
    ]
    entries = read_entries(store, "m")
    stored = [store.read(f"models/m/champions/{number}.json") for number in range(1, 6)]
    assert [entry.previous for entry in entries[1:]] == [digest_of(data) for data in stored[:-1]]
    assert stored[-1] == store.read(POINTER)


@pytest.mark.parametrize("number", [1, 4])
def test_an_older_pointer_is_noticed(store, light_package, policy, number):
    for content in "ab":
        push(store, light_package(content), "m")
    rollback(store, "m")
    promote(store, "m", 2)
    store.write(POINTER, store.read(f"models/m/champions/{number}.json"))
    attempts = [
        lambda: champion(store, "m"),
        lambda: rollback(store, "m"),
        lambda: push(store, light_package("c"), "m"),
        lambda: open_package(f"{store.uri}/models/m"),
    ]
    for attempt in attempts:
        with pytest.raises(ModelError, match="replaced by an older one"):
            attempt()
    # The remedy: an operator states the champion.
    assert promote(store, "m", 1).sequence == 6
    assert champion(store, "m").version == 1 and history(store)[-1] == (6, "promote", 1)


def test_a_missing_pointer_is_not_a_missing_champion(store, light_package, policy):
    for content in "ab":
        push(store, light_package(content), "m")
    store.delete(POINTER)
    c = light_package("c")
    attempts = [
        lambda: champion(store, "m"),
        lambda: rollback(store, "m"),
        lambda: push(store, c, "m"),
        lambda: begin(store, "m"),
        lambda: open_package(f"{store.uri}/models/m"),
    ]
    for attempt in attempts:
        with pytest.raises(ModelError, match="is missing"):
            attempt()
    # Without the log too: there are versions.
    for key in list(store.list("models/m/champions/")):
        store.delete(key)
    for attempt in attempts:
        with pytest.raises(ModelError, match="is missing"):
            attempt()
    listed = CliRunner().invoke(app, ["list", "--store", store.uri])
    assert listed.exit_code == 1 and "models/m/2" in listed.output
    assert "is missing" in listed.stderr
    assert promote(store, "m", 1).version == champion(store, "m").version == 1
    # What was lost before is not part of the history.
    assert [action for _, action, _ in history(store)] == ["promote"]


def test_a_mover_killed_at_any_write_leaves_a_champion(store, light_package, policy):
    for content in "ab":
        push(store, light_package(content), "m")
    for writes in range(3):
        before = champion(store, "m")
        try:
            rollback(DyingStore(store, writes), "m")
        except Killed:
            moved = writes > 0
            assert champion(store, "m").sequence == before.sequence + moved
        assert champion(store, "m").version == (2 if writes == 0 else 1)
        if writes:
            promote(store, "m", 2)
    assert [number for number, _, _ in history(store)] == list(range(1, len(history(store)) + 1))


def test_a_forged_pointer_is_refused(store, light_package, keys, configure):
    configure([keys.mine], keys.mine)
    for content in "ab":
        push(store, light_package(content), "m")
    pointer = store.read(POINTER)
    entry = ChampionEntry.model_validate_json(pointer)
    forged = entry.model_copy(update={"sequence": 9, "version": 1})
    unsigned = forged.model_copy(update={"signed_by": "unsigned", "signature": ""})
    for fake, match in (
        (forged, "is invalid"),
        (unsigned, "is unsigned"),
        (unsigned.signed(keys.other.signing), "unknown key"),
        (forged.model_copy(update={"signed_by": keys.other.id}), "unknown key"),
        (entry.model_copy(update={"name": "other"}).signed(keys.mine.signing), "another model"),
    ):
        store.write(POINTER, fake.model_dump_json().encode())
        with pytest.raises(ModelError, match=match):
            champion(store, "m")
        with pytest.raises(ModelError, match=match):
            open_package(f"{store.uri}/models/m")
    assert promote(store, "m", 2).sequence == 4
    # The pointer of another model is not this one's.
    push(store, light_package("x"), "other")
    store.write(POINTER, store.read("models/other/champion"))
    with pytest.raises(ModelError, match="another model"):
        champion(store, "m")


def test_a_pointer_whose_successors_were_removed_is_noticed_by_the_policy(
    store, light_package, keys, configure
):
    configure([keys.mine], keys.mine)
    for content in "ab":
        push(store, light_package(content), "m")
    rollback(store, "m")
    store.write(POINTER, store.read("models/m/champions/3.json"))
    store.delete("models/m/champions/4.json")
    assert champion(store, "m").version == 2  # nothing in the store contradicts it
    configure([keys.mine], keys.mine, champions={"m": 4, "never-pushed": 1})
    with pytest.raises(ModelError, match="replaced by an older one"):
        champion(store, "m")
    with pytest.raises(ModelError, match="is missing"):
        champion(store, "never-pushed")
    assert promote(store, "m", 1).sequence == 5


def test_without_a_signing_key_nothing_moves(store, light_package, keys, configure):
    configure([keys.mine])
    with pytest.raises(ModelError, match="Nothing can be signed"):
        push(store, light_package("a"), "m")
    assert list(store.list("")) == []
    configure([keys.mine], keys.mine)
    for content in "bc":
        push(store, light_package(content), "m")
    before = {key: store.read(key) for key in store.list("")}
    configure([keys.mine])
    for move in (lambda: promote(store, "m", 1), lambda: rollback(store, "m")):
        with pytest.raises(ModelError, match="Nothing can be signed"):
            move()
    assert {key: store.read(key) for key in store.list("")} == before
    assert champion(store, "m").version == 2  # reading needs no key


def test_rotation_and_revocation(store, light_package, keys, configure):
    """The same model is signed by the next key as a new version, while both are valid."""
    a = light_package("a")
    configure([keys.mine], keys.mine)
    push(store, a, "m")
    configure([keys.mine, keys.other], keys.other)
    uri = f"{store.uri}/models/m"
    again = push(store, open_package(f"{uri}/1").folder, "m")
    assert (again.version, again.new, again.signed_by) == (2, True, keys.other.id)
    assert push(store, a, "m").version == 2
    assert open_package(uri).key.name == "other" and open_package(f"{uri}/1").key.name == "mine"
    for fields in ({"revoked": YESTERDAY}, {"valid_until": YESTERDAY}):
        configure([(keys.mine, fields), keys.other], keys.other)
        assert open_package(uri).version == champion(store, "m").version == 2
        assert len(read_entries(store, "m")) == 3  # old entries are covered by the new one
        for use in (
            lambda: open_package(f"{uri}/1"),
            lambda: promote(store, "m", 1),
            lambda: rollback(store, "m"),
        ):
            with pytest.raises(ModelError, match="by mine"):
                use()
    # A withdrawn model stays withdrawn under another key.
    configure([keys.mine, keys.other], keys.mine)
    push(store, light_package("b"), "m")
    rollback(store, "m")
    configure([keys.mine, keys.other], keys.other)
    assert push(store, light_package("b", metrics=0.6), "m").version == 4
    assert champion(store, "m").version == 2


def test_a_registry_from_before_the_policy(store, light_package, keys, configure):
    """Versions without a signature are signed anew; then an operator states the champion."""
    configure()
    push(store, light_package("a"), "m")
    configure([keys.mine], keys.mine)
    with pytest.raises(ModelError, match="is unsigned"):
        champion(store, "m")
    with pytest.raises(ModelError, match=r"is unsigned.*MAMMO_SIGNING_KEY_FILE"):
        open_package(f"{store.uri}/models/m/1")
    with pytest.raises(ModelError, match="is unsigned"):
        promote(store, "m", 1)
    # Somebody may have removed its signature: it is not signed anew without a word.
    with pytest.raises(ModelError, match="is unsigned"):
        push(store, Path(store.root) / "models/m/1", "m")
    for _ in range(2):  # the second push finds the version of the first
        published = open_for_push(f"{store.uri}/models/m/1", accept_unsigned=True)
        with pytest.raises(ModelError, match=r"Version 2 .* published.*is unsigned.*promote m 2"):
            push(store, published.folder, "m", accept_unsigned=True)
    assert promote(store, "m", 2).sequence == 3
    assert open_package(f"{store.uri}/models/m").signed_by == keys.mine.id
    assert rollback_is_refused(store)


def test_history_on_the_command_line(store, light_package, keys, configure):
    configure([keys.mine], keys.mine)
    push(store, light_package("a"), "m")
    done = CliRunner().invoke(app, ["history", "m", "--store", store.uri])
    assert "push" in done.output and "version 1" in done.output and keys.mine.id[:16] in done.output
    entries = json.loads(
        CliRunner().invoke(app, ["history", "m", "--store", store.uri, "--json"]).output
    )
    assert [entry["action"] for entry in entries] == ["begin", "push"]
    data = store.read("models/m/champions/1.json")
    store.write("models/m/champions/1.json", data.replace(b'"m"', b'"n"'))
    with pytest.raises(ModelError):
        read_entries(store, "m")
