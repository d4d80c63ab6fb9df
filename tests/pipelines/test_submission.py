"""Runs are submitted as uploaded versions, with names that say what they are."""

import json
import re

import pytest

from mammo_core.errors import RecipeError
from mammo_core.recipes import load_recipe
from pipelines.compiled import COMMITTED, validate_parameters, with_images
from pipelines.submission import run_name, uploaded_version

TIME = r"\d{8}T\d{6}"


@pytest.fixture(scope="module")
def text():
    return with_images((COMMITTED / "score.yaml").read_text(), "r/data:abc1234", "r/train:abc1234")


@pytest.fixture
def client(server, connect_to):
    return connect_to(server)


def names(client, pipeline_id):
    versions = client.api.list_pipeline_versions(pipeline_id).pipeline_versions
    return {version.display_name: version.pipeline_version_id for version in versions}


def test_a_missing_version_is_uploaded_once(client, text):
    first = uploaded_version(client, text, "abc1234")
    assert uploaded_version(client, text, "abc1234") == first
    assert names(client, first[0])["abc1234"] == first[1]


def test_a_version_of_other_content_gets_a_name_of_its_own(client, text):
    first = uploaded_version(client, text, "abc1234")
    other = text.replace("r/train:abc1234", "r/train-gpu:abc1234")
    second = uploaded_version(client, other, "abc1234")
    assert second[0] == first[0] and second[1] != first[1]
    assert uploaded_version(client, other, "abc1234") == second
    assert uploaded_version(client, text, "abc1234") == first
    (name,) = [name for name, id in names(client, first[0]).items() if id == second[1]]
    assert re.fullmatch(r"abc1234-[0-9a-f]{12}", name)


def test_a_file_is_named_by_its_digest(client, text):
    ids = uploaded_version(client, text)
    (name,) = [name for name, id in names(client, ids[0]).items() if id == ids[1]]
    assert re.fullmatch(r"file-[0-9a-f]{12}", name)


@pytest.mark.parametrize(
    ("pipeline", "recipe", "name"),
    [
        ("train", "phantom", "phantom"),
        ("retrain", "phantom", "phantom-retrain"),
        ("train", "s3://mammo/recipes/mine.yaml", "mine"),
        ("train", json.dumps(load_recipe("phantom").model_dump(mode="json")), "phantom"),
        ("train", "{not json", "train"),
        ("score", None, "score"),
    ],
)
def test_a_run_is_named_by_its_recipe_and_the_time(pipeline, recipe, name):
    parameters = {} if recipe is None else {"recipe": recipe}
    assert re.fullmatch(f"{name}-{TIME}", run_name(pipeline, parameters))


@pytest.mark.parametrize(
    "value",
    [
        "quote \" backslash \\ newline \n single ' dollar $HOME",
        '{"a": {"b": "c\\n"}}',
        "a } } b",
    ],
)
def test_texts_that_travel_as_they_are_pass(text, value):
    validate_parameters(text, {"model": value, "source": "s3://a"})


@pytest.mark.parametrize(
    "values",
    [
        {"model": "{{workflow.name}}"},
        {"model": "{{$.inputs.parameters['source']}}"},
        {"model": "a\0b"},
        {"node_selector": {"pool": "{{x}}"}},
        {"tolerations": [{"key": "a{{"}]},
    ],
)
def test_what_the_backend_would_replace_is_refused(text, values):
    with pytest.raises(RecipeError, match=r"cannot be passed.*Expected text without"):
        validate_parameters(text, {"model": "m", "source": "s3://a", **values})
