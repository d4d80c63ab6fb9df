"""The online store: SQLite in the object store, or Redis."""

import importlib.util
import os
import shutil
import socket
import time

import pytest

from mammo_core.datasets.tables import from_parquet, to_parquet
from mammo_core.errors import RecordError, StoreError
from mammo_core.features import MAIN, publish_features, view_files
from mammo_core.features.definitions import (
    IMAGE_LABEL,
    INTENSITY_STATISTICS,
    LESION_LABEL,
    VIEWS,
    feast_objects,
)
from mammo_core.features.labels import publish_labels
from mammo_core.features.online import (
    PASSWORD,
    SERVER,
    apply,
    forget_rows,
    look_up,
    redis_of,
)
from mammo_core.recipes import load_recipe
from mammo_core.runs import Run
from mammo_core.steps.data import _bring_online
from mammo_core.steps.step import StepContext
from tests.support.feature_tables import make_tables
from tests.support.processes import start_child


def test_no_view_has_a_time_to_live():
    """Feast would drop older rows silently."""
    objects = {item.name: item for item in feast_objects()}
    views = [objects[view.name] for view in VIEWS]
    assert len(views) == 8 and all(not view.ttl for view in views)
    assert {"image", "lesion"} <= set(objects)


def check_online(store, tables):
    image, lesion = tables.images["image_id"].iloc[0], "P_00000_LEFT_MLO_mass_1"
    row = look_up(store, MAIN, IMAGE_LABEL, [{"image_id": image}])
    assert row.to_dict("records") == [
        {"image_id": image, "malignant": 0, "lesion_types": "mass", "label_origin": "source"}
    ]
    correct(store, image, lesion)
    # The online store is as recent as the last `apply`.
    assert look_up(store, MAIN, IMAGE_LABEL, [{"image_id": image}])["malignant"].item() == 0
    apply(store, MAIN)
    assert look_up(store, MAIN, IMAGE_LABEL, [{"image_id": image}])["malignant"].item() == 1
    assert look_up(store, MAIN, LESION_LABEL, [{"lesion_id": lesion}])["pathology"].item() == (
        "MALIGNANT"
    )
    keys = {"image_id": image, "dataset_id": "d1"}
    assert look_up(store, MAIN, INTENSITY_STATISTICS, [keys])["mean"].item() == 1000
    with pytest.raises(RecordError, match=r"image_label of 1 keys.*nobody"):
        look_up(store, MAIN, IMAGE_LABEL, [{"image_id": image}, {"image_id": "nobody"}])


def correct(store, image, lesion):
    import pandas as pd

    rows = [("image", image, 1, ""), ("lesion", lesion, 1, "MALIGNANT")]
    labels = pd.DataFrame(rows, columns=["kind", "id", "malignant", "pathology"])
    publish_labels(store, labels, MAIN)


def test_the_newest_rows_are_online_in_sqlite(store):
    tables = make_tables()
    with pytest.raises(RecordError, match=r"no online store.*mammo features apply"):
        look_up(store, MAIN, IMAGE_LABEL, [{"image_id": "a"}])
    publish_features(store, tables)
    result = apply(store, MAIN)
    assert result.online == "sqlite" and result.views["image_label"] == 16
    assert result.views["model_scores"] == 0
    check_online(store, tables)
    assert view_files.latest_rows(store, MAIN, IMAGE_LABEL)["image_id"].is_unique


def test_a_registry_without_features_can_be_applied(file_store):
    assert set(apply(file_store, MAIN).views.values()) == {0}
    assert file_store.exists(f"{MAIN}/registry.db")


#: Feast splits its connection string at commas, and would parse 12e3 as a number.
HARD_PASSWORD = '12e3,="x'


@pytest.fixture
def redis_server(tmp_path):
    """A real Redis server with a password, if this machine has one."""
    binary = shutil.which("redis-server")
    if binary is None or importlib.util.find_spec("redis") is None:
        pytest.skip("no redis-server on PATH, or no Python package redis")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [binary, "--port", str(port), "--save", "", "--dir", str(tmp_path)]
    with start_child([*command, "--requirepass", HARD_PASSWORD]):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/1"


def test_the_newest_rows_are_online_in_redis(file_store, redis_server, monkeypatch):
    monkeypatch.setenv(SERVER, redis_server)
    monkeypatch.setenv(PASSWORD, HARD_PASSWORD)
    publish_features(file_store, make_tables())
    assert apply(file_store, MAIN).online.startswith("redis 127.0.0.1:")
    check_online(file_store, make_tables())
    assert not file_store.exists(f"{MAIN}/online.db")
    assert HARD_PASSWORD.encode() not in file_store.read(f"{MAIN}/registry.db")
    monkeypatch.setenv(PASSWORD, "wrong-word")
    with pytest.raises(StoreError, match=r"online store at 127.0.0.1") as caught:
        apply(file_store, MAIN)
    assert "wrong-word" not in str(caught.value)


def test_a_server_that_does_not_answer_is_an_error(file_store, monkeypatch):
    publish_features(file_store, make_tables())
    monkeypatch.setenv(SERVER, "redis://127.0.0.1:1")
    with pytest.raises(StoreError, match=r"online store at 127.0.0.1:1 cannot be used"):
        apply(file_store, MAIN)


def test_the_environment_configures_redis():
    assert redis_of({}) is None and redis_of({SERVER: "sqlite"}) is None
    assert redis_of({SERVER: "redis://redis"}) == {
        "type": "redis",
        "connection_string": "redis:6379,db=0,socket_connect_timeout=5,socket_timeout=60",
    }
    config = redis_of({SERVER: "rediss://redis.example:7000/3", PASSWORD: "p"})
    assert config["connection_string"] == (
        'redis.example:7000,db=3,socket_connect_timeout=5,socket_timeout=60,password="p",ssl=true'
    )


@pytest.mark.parametrize("uri", ["http://redis", "redis://", "redis://h/x", "redis://h:port"])
def test_an_invalid_address_is_refused(uri):
    with pytest.raises(StoreError, match="MAMMO_ONLINE_STORE as redis://"):
        redis_of({SERVER: uri})


def test_a_password_in_the_address_is_not_repeated():
    with pytest.raises(StoreError, match="MAMMO_ONLINE_SECRET") as caught:
        redis_of({SERVER: "redis://:secret@redis"})
    assert "secret" not in str(caught.value)


def test_a_run_continues_when_the_online_store_is_down(file_store, monkeypatch, capsys):
    publish_features(file_store, make_tables())
    context = StepContext("publish-features", Run(file_store, "r1"), load_recipe("phantom"))
    _bring_online(context, MAIN)
    assert capsys.readouterr().out == ""  # SQLite is written by `mammo features apply`
    monkeypatch.setenv(SERVER, "redis://127.0.0.1:1")
    _bring_online(context, "features/shuffled-1")
    assert capsys.readouterr().out == ""  # permuted labels are never online
    _bring_online(context, MAIN)
    assert "warning: the newest features are not online" in capsys.readouterr().out


def check_forgotten_rows(store):
    """Rows that left the feature store leave the online store, and others stay."""
    tables = make_tables()
    publish_features(store, tables)
    apply(store, MAIN)
    gone, kept = tables.images["image_id"].iloc[:2]
    for key in [key for key in store.list(MAIN) if key.endswith(".parquet")]:
        rows = from_parquet(store.read(key))
        if "image_id" in rows:
            store.write(key, to_parquet(rows[rows["image_id"] != gone]))
    apply(store, MAIN)
    if SERVER in os.environ:  # a plain `apply` deletes nothing there
        assert len(look_up(store, MAIN, IMAGE_LABEL, [{"image_id": gone}])) == 1
    assert forget_rows(store, MAIN)
    for view, more in ((IMAGE_LABEL, {}), (INTENSITY_STATISTICS, {"dataset_id": "d1"})):
        assert len(look_up(store, MAIN, view, [{"image_id": kept, **more}])) == 1
        with pytest.raises(RecordError, match="of 1 keys"):
            look_up(store, MAIN, view, [{"image_id": gone, **more}])


def test_rows_are_forgotten_in_sqlite(file_store):
    assert not forget_rows(file_store, MAIN)
    check_forgotten_rows(file_store)


def test_rows_are_forgotten_in_redis(file_store, redis_server, monkeypatch):
    monkeypatch.setenv(SERVER, redis_server)
    monkeypatch.setenv(PASSWORD, HARD_PASSWORD)
    check_forgotten_rows(file_store)
