import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from mammo_core.errors import ModelError, StoreError
from mammo_core.packaging import verify
from mammo_core.registry import (
    champion,
    open_package,
    publishing,
    push,
    read_entries,
    rollback,
    versions,
)
from mammo_core.store import open_store, require_conditional_writes
from tests.support.dying_store import DyingStore, Killed


class Unleased:
    """A store whose leases are another's: its owner believes that it holds them."""

    def __init__(self, store):
        self._store = store

    def __getattr__(self, name):
        return getattr(self._store, name)

    @contextmanager
    def lease(self, key):
        yield SimpleNamespace(check=lambda: None)


def test_pushing_twice_creates_one_version(store, light_package):
    first = push(store, light_package("a"), "m")
    before = {key: store.read(key) for key in store.list("")}
    # The same model with other metrics is the same model.
    again = push(store, light_package("a", metrics=0.9), "m")
    assert (again.version, again.uri, again.new) == (first.version, first.uri, False)
    assert {key: store.read(key) for key in store.list("")} == before


def test_a_champion_that_changed_since_the_comparison_stops_the_push(store, light_package):
    a, b = light_package("a"), light_package("b")
    first = push(store, a, "m", compared_with="")
    with pytest.raises(ModelError, match=r"changed after the model was compared.*m/1"):
        push(store, b, "m", compared_with="")
    assert [version.version for version in versions(store, "m")] == [1]
    model_id = champion(store, "m").model_id
    assert push(store, b, "m", compared_with=model_id).version == 2
    # What is a version already is compared with nothing again.
    assert push(store, a, "m", compared_with="").uri == first.uri


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "-x", "a b", "x" * 101])
def test_invalid_model_names_are_refused(store, light_package, name):
    with pytest.raises(ModelError, match="name cannot be used"):
        push(store, light_package("a"), name)
    assert list(store.list("")) == []


def test_a_damaged_package_is_not_pushed(store, light_package):
    folder = light_package("a")
    (folder / "model.keras").write_text("b")
    with pytest.raises(ModelError, match="was changed"):
        push(store, folder, "m")
    assert list(store.list("")) == []


@pytest.mark.parametrize("writes", range(18))
def test_a_push_killed_anywhere_leaves_nothing_visible_and_can_be_repeated(
    store, light_package, writes
):
    a, b = light_package("a"), light_package("b")
    push(store, a, "m")
    try:
        push(DyingStore(store, writes), b, "m")
    except Killed:
        # The claim, 13 files, the marker, the pointer to the champion, its entry in the log.
        assert champion(store, "m").version == (2 if writes == 16 else 1)
        assert [ref.version for ref in versions(store, "m")] == ([1, 2] if writes > 14 else [1])
    else:
        assert writes == 17
    # The number of an interrupted push stays unused.
    number = 3 if 0 < writes < 15 else 2
    assert push(store, b, "m").version == number
    assert champion(store, "m").version == number
    assert [entry.action for entry in read_entries(store, "m")] == ["begin", "push", "push"]
    assert open_package(f"{store.uri}/models/m").manifest == verify(b).manifest


def test_a_dead_claim_of_another_package_is_skipped(store, light_package):
    a, b = light_package("a"), light_package("b")
    require_conditional_writes(store)  # its writes are not those of a push
    with pytest.raises(Killed):
        push(DyingStore(store, 5), a, "m")
    assert push(store, b, "m").version == 2
    assert [ref.version for ref in versions(store, "m")] == [2]
    assert push(store, a, "m").version == 3
    assert champion(store, "m").version == 3


def test_a_paused_push_overwrites_nothing_of_the_push_that_went_on(store, light_package):
    """The owner is stopped before each of its writes, while another push publishes."""
    a, b = light_package("a"), light_package("b")
    push(store, a, "m")
    snapshots = []

    class Paused(DyingStore):
        def __getattr__(self, name):
            real = getattr(self._store, name)
            if name not in ("write", "write_if", "put_file"):
                return real

            def slow(key, *arguments):
                if key == "models/m/2/model.keras":
                    folder = light_package("c")
                    assert push(Unleased(open_store(store.uri)), folder, "m").version == 3
                    keys = list(store.list("models/m/3/"))
                    snapshots.append({key: store.read(key) for key in keys})
                return real(key, *arguments)

            return slow

    result = push(Paused(store, 0), b, "m")
    (published,) = snapshots
    assert result.version == 2 and published
    assert {key: store.read(key) for key in store.list("models/m/3/")} == published
    assert champion(store, "m").version == 3
    assert open_package(f"{store.uri}/models/m/2").model_id == verify(b).model_id


def test_files_of_a_dead_push_do_not_enter_the_package(store, light_package):
    a = light_package("a")
    require_conditional_writes(store)
    with pytest.raises(Killed):
        push(DyingStore(store, 5), a, "m")
    store.write("models/m/1/patch_classifier.keras", b"left over")
    assert push(store, a, "m").version == 2
    assert open_package(f"{store.uri}/models/m").manifest == verify(a).manifest


def test_concurrent_pushes(store, light_package):
    folders = [light_package(content) for content in "abcd"] * 2
    start = threading.Barrier(len(folders))

    def push_folder(folder):
        start.wait()
        return push(open_store(store.uri), folder, "m")

    with ThreadPoolExecutor(len(folders)) as pool:
        results = list(pool.map(push_folder, folders))
    assert sorted(result.version for result in results if result.new) == [1, 2, 3, 4]
    assert sum(not result.new for result in results) == 4
    assert [ref.version for ref in versions(store, "m")] == [1, 2, 3, 4]
    assert champion(store, "m").version == 4


def test_concurrent_claims_without_the_lease(store, light_package):
    package = verify(light_package("a"))
    start = threading.Barrier(6)

    def claim(_):
        start.wait()
        return publishing._claim(open_store(store.uri), "m", package)

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(claim, range(6))) == [1, 2, 3, 4, 5, 6]


def test_a_write_that_reads_back_different_publishes_nothing(store, light_package):
    class Lossy(DyingStore):
        def __getattr__(self, name):
            if name == "put_file":
                return lambda key, path: self._store.write(key, path.read_bytes()[:-1])
            return getattr(self._store, name)

    with pytest.raises(StoreError, match="reads back different"):
        push(Lossy(store, 0), light_package("a"), "m")
    assert champion(store, "m") is None and versions(store, "m") == []


@pytest.mark.s3
def test_two_concurrent_pushes_to_a_bucket(s3_environment, light_package):
    """Two versions, one champion, nothing lost, on the conditional writes of a real server."""
    from uuid import uuid4

    uri = f"s3://mammo-tests/{uuid4().hex}"
    folders = [light_package(content) for content in "ab"]
    start = threading.Barrier(2)

    def push_folder(folder):
        start.wait()
        return push(open_store(uri), folder, "m")

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(push_folder, folders))
    store = open_store(uri)
    assert sorted(result.version for result in results) == [1, 2]
    assert [ref.version for ref in versions(store, "m")] == [1, 2]
    assert champion(store, "m").version == 2
    for result, folder in zip(results, folders, strict=True):
        assert open_package(result.uri).manifest == verify(folder).manifest
    assert rollback(store, "m").version == 1


@pytest.mark.s3
def test_an_s3_server_without_conditional_writes_is_refused(tmp_path, light_package, monkeypatch):
    """moto behind a layer that drops If-None-Match and If-Match, as older servers ignore them."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    backend = DomainDispatcherApplication(create_backend_app)

    def lax(environment, start_response):
        for name in ("HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH"):
            environment.pop(name, None)
        return backend(environment, start_response)

    server = make_server("127.0.0.1", 0, lax, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        monkeypatch.setenv("MAMMO_S3_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("MAMMO_S3_ACCESS_KEY", "test")
        monkeypatch.setenv("MAMMO_S3_SECRET_KEY", "test-secret")
        monkeypatch.setenv("MAMMO_SCRATCH", str(tmp_path / "scratch"))
        store = open_store("s3://lax/store")
        with pytest.raises(StoreError, match="If-None-Match"):
            push(store, light_package("a"), "m")
        assert list(store.list("")) == []
    finally:
        server.shutdown()
        thread.join()
