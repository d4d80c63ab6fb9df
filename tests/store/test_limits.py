"""How much of a store is read into memory, and JSON files that something else replaced."""

import ast
from pathlib import Path

import pytest

from mammo_core.errors import RecordError
from mammo_core.runs import Run
from mammo_core.store import (
    MAXIMUM_READ_BYTES,
    TooLargeError,
    find_leases,
    parse_object,
    read_object,
)

REPOSITORY = Path(__file__).resolve().parents[2]
_NESTED = b'{"a": ' + b"[" * 50_000


@pytest.mark.parametrize("work", ["read", "state"])
def test_more_bytes_than_the_limit_are_refused_in_three_parts(store, work):
    store.write("a/b", b"x" * 100)
    with pytest.raises(TooLargeError) as error:
        getattr(store, work)("a/b", 99)
    assert "'a/b'" in error.value.problem and store.uri in error.value.problem
    assert (error.value.expected, error.value.received) == ("at most 99 bytes", "more")
    answer = getattr(store, work)("a/b", 100)
    assert (answer if work == "read" else answer[0]) == b"x" * 100


def test_a_reader_without_a_limit_of_its_own_has_one(file_store):
    path = Path(file_store.root) / "large"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(MAXIMUM_READ_BYTES + 1)
    with pytest.raises(TooLargeError, match=str(MAXIMUM_READ_BYTES)):
        file_store.read("large")
    assert file_store.fetch("large").stat().st_size == MAXIMUM_READ_BYTES + 1


def test_a_key_that_has_grown_is_not_the_one_that_was_read(store):
    store.write("a", b"x" * 100)
    assert not store.write_if("a", b"new", b"old") and store.read("a") == b"x" * 100
    assert store.write_if("a", b"new", b"x" * 100)


@pytest.mark.parametrize(
    ("data", "received"),
    [
        (_NESTED, "nested"),
        (b"[1]", "list"),
        (b"\xff", "not JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
    ],
    ids=["nested", "list", "damaged", "digits"],
)
def test_what_is_no_json_object_is_an_error_that_names_the_file(store, data, received):
    store.write("a/b.json", data)
    with pytest.raises(RecordError, match=received) as error:
        read_object(store, "a/b.json")
    assert "'a/b.json'" in error.value.problem and store.uri in error.value.problem
    assert parse_object(b'{"a": 1}', "it") == {"a": 1}


def test_a_lease_that_something_else_replaced_is_taken_after_its_time(file_store, monkeypatch):
    monkeypatch.setenv("MAMMO_LEASE_S", "0.5")
    with file_store.lease("datasets/x"):
        pass
    (entry,) = file_store.lease_files()
    file_store.write(entry.key, _NESTED)
    assert [ended.key for ended in find_leases(file_store).ended] == [entry.key]
    with file_store.lease("datasets/x", wait_s=5) as lease:
        lease.check()


def test_a_lease_file_of_megabytes_is_not_read(file_store):
    with file_store.lease("datasets/x"):
        pass
    (entry,) = file_store.lease_files()
    file_store.write(entry.key, b"x" * 2**20)
    with pytest.raises(TooLargeError), file_store.lease("datasets/x", wait_s=5):
        pass


@pytest.mark.parametrize("name", ["steps/index.json", "summary.json", "recipe.json"])
def test_a_damaged_record_of_a_run_is_named(file_store, name):
    run = Run(file_store, "r")
    file_store.write(f"runs/r/{name}", _NESTED)
    read = {"steps/index.json": run.statuses, "summary.json": run.summary}
    with pytest.raises(RecordError, match=f"runs/r/{name}"):
        read.get(name, run.recipe_name)()


def test_a_status_is_not_written_over_one_that_cannot_be_read(file_store):
    file_store.write("runs/r/steps/index.json", _NESTED)
    with pytest.raises(RecordError, match=r"runs/r/steps/index\.json"):
        Run(file_store, "r").write_status("index", "failed", 0.0, begins=False)


def test_no_file_of_a_store_is_parsed_without_limits():
    """`json.loads(store.read(…))` ends the process at `[[[[…`."""
    unlimited = []
    for folder in ("mammo_core", "components", "pipelines"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "json.loads":
                    argument = ast.unparse(node.args[0])
                    if ".read(" in argument or argument in ("stored[0]", "state[0]"):
                        unlimited.append(f"{path.relative_to(REPOSITORY)}: {ast.unparse(node)}")
    assert unlimited == []
