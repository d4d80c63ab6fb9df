"""The OpenAPI document: valid, and true of every answer (schemathesis)."""

import pytest
import schemathesis
import schemathesis.engine
import schemathesis.hooks
from hypothesis import strategies as st
from openapi_spec_validator import validate
from schemathesis.engine import events
from schemathesis.specs.openapi.media_types import unregister_all

from mammo_core.serving import ServeConfig
from mammo_core.serving.app import create_app

MEDIA_TYPES = ("application/dicom", "application/octet-stream", "image/png", "image/tiff")


@pytest.fixture(scope="module")
def app(package):
    # The host of schemathesis.
    config = ServeConfig(max_images=1, api_pages=True, allowed_hosts=("testserver",))
    return create_app(package, "whole-image", "1", config)


@pytest.fixture
def api(app, dicom_bytes):
    # JSON schemas do not describe image files: valid ones are drawn from these.
    files = [dicom_bytes(seed) for seed in (1, 2)]
    for media_type in MEDIA_TYPES:
        schemathesis.openapi.media_type(media_type, st.sampled_from(files))
    config = schemathesis.Config(seed=1)
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, config=config)
    schema.config.generation.update(max_examples=2)
    schema.config.phases.stateful.enabled = False

    @schemathesis.hook
    def before_call(context, case, kwargs):
        if case.media_type == "multipart/form-data" and case.meta.generation.mode.is_positive:
            case.body = {"file": files[0]}

    yield schema
    schemathesis.hooks.unregister(before_call)
    unregister_all()


def test_the_document_is_valid(app, two_views):
    other = create_app(two_views, "pairs", "1", ServeConfig())
    for one in (app, other):
        validate(one.state.service._document)


@pytest.mark.slow
def test_every_answer_is_as_documented(api):
    """All checks of schemathesis: coverage of the schemas, then drawn requests."""
    operations, faults = set(), []
    for event in schemathesis.engine.from_schema(api).execute():
        if isinstance(event, events.ScenarioFinished):
            operations.add(event.recorder.label)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            faults.append(str(event))
        elif isinstance(event, events.EngineFinished):
            faults += [f"{one.operation}: {one.title}. {one.message}" for one in event.failures]
    assert len(operations) == sum(1 for _ in api.get_all_operations())
    assert not faults, "\n".join(faults)
