import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mammo_core.errors import ModelError, StoreError
from mammo_core.packaging import load, verify
from mammo_core.registry import (
    champion,
    models,
    promote,
    publishing,
    push,
    resolution,
    resolve,
    rollback,
    versions,
)
from mammo_core.registry.versions import PublishedMarker
from mammo_core.store import open_store


@pytest.fixture
def store(tmp_path):
    return open_store(f"file://{tmp_path}/store")


def test_an_empty_registry(store):
    assert champion(store, "m") is None
    assert versions(store, "m") == [] and models(store) == []
    for uri in (f"{store.uri}/models/m", f"{store.uri}/models/m/1"):
        with pytest.raises(ModelError):
            resolve(uri)


def test_push_and_load_back(store, built):
    pushed = push(store, built[0], "m")
    assert (pushed.version, pushed.new) == (1, True)
    assert pushed.uri == f"{store.uri}/models/m/1"
    best = champion(store, "m")
    assert best.model_id == verify(built[0]).model_id and best.uri == pushed.uri
    assert load(resolve(pushed.uri)).model_id == best.model_id
    assert models(store) == ["m"]


def test_pushing_twice_creates_one_version(store, light_package):
    first = push(store, light_package("a"), "m")
    before = {key: store.read(key) for key in store.list("")}
    # The same model with other metrics is the same model.
    again = push(store, light_package("a", metrics=0.9), "m")
    assert (again.version, again.uri, again.new) == (first.version, first.uri, False)
    assert {key: store.read(key) for key in store.list("")} == before


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
        assert verify(resolve(uri)).model_id == ids[expected], uri
    monkeypatch.chdir(tmp_path)
    assert verify(resolve("store/models/m/1")).model_id == ids["a"]


@pytest.mark.parametrize(
    "tail", ["models/x", "models/m/3", "models/m/0", "models/m/1/package/x", "models/../m", "m"]
)
def test_an_unknown_model_is_an_error(store, light_package, tail):
    push(store, light_package("a"), "m")
    with pytest.raises(ModelError):
        resolve(f"{store.uri}/{tail}")


def test_an_unknown_version_names_the_published_ones(store, light_package):
    push(store, light_package("a"), "m")
    with pytest.raises(ModelError, match="published version: 1"):
        resolve(f"{store.uri}/models/m/7")


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


class Killed(BaseException):
    pass


class DyingStore:
    """Forwards every call and dies at the n-th write, like a killed process."""

    def __init__(self, store, writes):
        self._store, self._left = store, writes

    def __getattr__(self, name):
        real = getattr(self._store, name)
        if name not in ("write", "write_if", "put_file"):
            return real

        def counted(*arguments):
            if self._left == 0:
                raise Killed
            self._left -= 1
            return real(*arguments)

        return counted


@pytest.mark.parametrize("writes", range(16))
def test_a_push_killed_anywhere_leaves_nothing_visible_and_can_be_repeated(
    store, light_package, writes
):
    a, b = light_package("a"), light_package("b")
    push(store, a, "m")
    try:
        push(DyingStore(store, writes), b, "m")
    except Killed:
        assert champion(store, "m").version == 1
        # Claim, 12 files; the 14th write is the marker, the 15th moves the champion.
        assert [ref.version for ref in versions(store, "m")] == ([1, 2] if writes == 14 else [1])
    else:
        assert writes == 15
    assert push(store, b, "m").version == 2
    assert champion(store, "m").version == 2
    assert verify(resolve(f"{store.uri}/models/m")) == verify(b)


def test_a_dead_claim_of_another_package_is_skipped(store, light_package):
    a, b = light_package("a"), light_package("b")
    with pytest.raises(Killed):
        push(DyingStore(store, 5), a, "m")
    assert push(store, b, "m").version == 2
    assert [ref.version for ref in versions(store, "m")] == [2]
    assert push(store, a, "m").version == 1
    assert champion(store, "m").version == 2


def test_files_of_a_dead_push_do_not_enter_the_package(store, light_package):
    a = light_package("a")
    with pytest.raises(Killed):
        push(DyingStore(store, 5), a, "m")
    store.write("models/m/1/patch_classifier.keras", b"left over")
    assert push(store, a, "m").version == 1
    assert verify(resolve(f"{store.uri}/models/m")) == verify(a)


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
    published = [PublishedMarker(model_id=str(number), sums=str(number)) for number in range(6)]
    start = threading.Barrier(len(published))

    def claim(marker):
        start.wait()
        return publishing._claim(open_store(store.uri), "m", marker)

    with ThreadPoolExecutor(len(published)) as pool:
        assert sorted(pool.map(claim, published)) == [1, 2, 3, 4, 5, 6]


def test_a_write_that_reads_back_different_publishes_nothing(store, light_package):
    class Lossy(DyingStore):
        def __getattr__(self, name):
            if name == "put_file":
                return lambda key, path: self._store.write(key, path.read_bytes()[:-1])
            return getattr(self._store, name)

    with pytest.raises(StoreError, match="reads back different"):
        push(Lossy(store, 0), light_package("a"), "m")
    assert champion(store, "m") is None and versions(store, "m") == []


def test_an_unpublished_champion_is_an_error_and_not_a_missing_champion(store, light_package):
    push(store, light_package("a"), "m")
    store.delete("models/m/published/1.json")
    with pytest.raises(ModelError, match="no version 1"):
        champion(store, "m")
    store.write("models/m/champion", b"{")
    with pytest.raises(ModelError, match="cannot be read"):
        champion(store, "m")


def test_a_package_replaced_in_the_store_is_refused(store, light_package):
    a, b = light_package("a"), light_package("b")
    push(store, a, "m")
    for path in b.iterdir():
        store.put_file(f"models/m/1/{path.name}", path)
    with pytest.raises(ModelError, match="not what was published"):
        resolve(f"{store.uri}/models/m/1")


def test_a_store_that_fetches_files_one_by_one(store, light_package, tmp_path, monkeypatch):
    folder = light_package("a")
    push(store, folder, "m")

    class Remote(DyingStore):
        def fetch(self, key):
            folder = tmp_path / "fetched" / key.replace("/", "+")
            folder.mkdir(parents=True, exist_ok=True)
            return shutil.copyfile(self._store.fetch(key), folder / key.rpartition("/")[2])

    monkeypatch.setattr(resolution, "open_store", lambda uri: Remote(store, 0))
    resolved = resolve("s3://bucket/prefix/models/m")
    assert verify(resolved) == verify(folder)
    assert not resolved.is_relative_to(tmp_path / "store")


def test_a_worse_champion_is_rolled_back_and_stays_withdrawn(store, light_package):
    a, b, c = (light_package(content) for content in "abc")
    push(store, a, "m")
    with pytest.raises(ModelError, match="a previous champion"):
        rollback(store, "m")
    push(store, b, "m")
    back = rollback(store, "m")
    assert (back.version, back.model_id) == (1, verify(a).model_id)
    assert champion(store, "m").version == 1
    assert verify(resolve(f"{store.uri}/models/m")) == verify(a)
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


def test_a_store_without_conditional_writes_is_refused_at_start(tmp_path, light_package):
    careless = Careless(open_store(f"file://{tmp_path}/careless"))
    for use in (
        lambda: push(careless, light_package("a"), "m"),
        lambda: promote(careless, "m", 1),
        lambda: rollback(careless, "m"),
    ):
        with pytest.raises(StoreError, match="conditional writes"):
            use()
    assert list(careless.list("")) == []


def test_pointer_is_plain_json(store, light_package):
    push(store, light_package("a"), "m")
    pointer = json.loads(store.read("models/m/champion"))
    assert pointer["version"] == 1 and len(pointer["model_id"]) == 64


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
        assert verify(resolve(result.uri)) == verify(folder)
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
