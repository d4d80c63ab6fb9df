"""The OpenAPI document: valid, and true of every answer (schemathesis)."""

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate
from schemathesis.specs.openapi.media_types import unregister_all

from mammo_core.serving import ServeConfig
from mammo_core.serving.app import create_app


@pytest.fixture(scope="module")
def app(package):
    # The host of schemathesis.
    config = ServeConfig(max_images=2, api_pages=True, allowed_hosts=("testserver",))
    return create_app(package, "whole-image", "1", config)


@pytest.fixture(scope="module")
def api(app, dicom_bytes):
    # JSON schemas do not describe image files: valid ones are drawn from these.
    files = st.sampled_from([dicom_bytes(seed) for seed in (1, 2)])
    for media_type in ("application/dicom", "image/png", "image/tiff", "application/octet-stream"):
        schemathesis.openapi.media_type(media_type, files)
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    yield schema
    unregister_all()


schema = schemathesis.pytest.from_fixture("api")


def test_the_document_is_valid(app, two_views):
    other = create_app(two_views, "pairs", "1", ServeConfig())
    for one in (app, other):
        validate(one.state.service._document)


@schema.parametrize()
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_every_answer_is_as_documented(case):
    case.call_and_validate()
