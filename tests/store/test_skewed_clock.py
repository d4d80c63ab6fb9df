"""A server that refuses our clock, and answers that arrive damaged."""

from datetime import timedelta
from xml.etree.ElementTree import ParseError

import minio.api
import pytest

from mammo_core.store import open_store
from mammo_core.store.s3_requests import is_transient

pytestmark = pytest.mark.s3


@pytest.mark.parametrize("hours", [-1, 1])
def test_requests_are_signed_by_the_clock_of_the_server(s3_environment, monkeypatch, hours):
    if s3_environment.kind == "moto":
        pytest.skip("moto accepts any clock")
    store = open_store(f"s3://mammo-tests/clock{hours}")
    store.write("a", b"1")
    real = minio.api.time.utcnow
    monkeypatch.setattr(minio.api.time, "utcnow", lambda: real() + timedelta(hours=hours))
    monkeypatch.setattr("mammo_core.store.s3_clock.utcnow", lambda: real() + timedelta(hours=hours))
    # Each kind of request is the first with the wrong clock: HEAD, GET, PUT, and a condition.
    assert open_store(store.uri).entry("a").size == 1
    assert open_store(store.uri).read("a") == b"1"
    open_store(store.uri).write("b", b"2")
    assert open_store(store.uri).put_if("c", b"3", None)
    with open_store(store.uri).lease("k") as lease:
        lease.check()


def test_an_answer_without_valid_xml_is_asked_for_again():
    assert is_transient(ParseError("not well-formed"))
