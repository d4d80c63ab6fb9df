"""The key `sources` of a recipe: what fits together, and what one source stays as."""

import hashlib
import json
from pathlib import Path

import pytest
import yaml

from mammo_core.errors import RecipeError
from mammo_core.recipes import load_recipe
from mammo_core.sources import SourceConfig
from mammo_core.sources.several.entry import SourceEntry

FILM = {"name": "film", "adapter": "cbis_ddsm", "root": "data/film"}
DIGITAL = {"name": "digital", "adapter": "cbis_ddsm", "root": "data/digital"}
HELD_OUT = {"name": "abroad", "adapter": "cmmd", "root": "data/abroad", "role": "external"}


def load(sources, **changes):
    values = yaml.safe_load(Path("recipes/phantom.yaml").read_text())
    del values["source"]
    return load_recipe(json.dumps({**values, "sources": sources, **changes}))


def test_a_recipe_of_several_sources():
    recipe = load([FILM, {**DIGITAL, "weight": 3}, HELD_OUT])
    assert recipe.source is None
    assert recipe.training_names == ["film", "digital"]
    assert [source.root for source in recipe.all_sources] == [
        "data/film", "data/digital", "data/abroad",
    ]  # fmt: skip
    assert recipe.adapters == "cbis_ddsm"
    assert load_recipe(recipe.to_json()) == recipe


def test_the_tables_of_an_entry_are_those_of_a_recipe_with_this_source():
    entry = SourceEntry.model_validate(
        {**FILM, "adapter": "inbreast", "weight": 2, "inbreast": {"contours": False}}
    )
    plain = SourceConfig.model_validate(
        {"adapter": "inbreast", "root": "data/film", "inbreast": {"contours": False}}
    )
    assert entry.config() == plain
    assert type(entry.config()) is SourceConfig


@pytest.mark.parametrize(
    ("sources", "changes", "message"),
    [
        ([FILM, FILM], {}, "distinct names; received film, film"),
        ([FILM, {**DIGITAL, "role": "referee"}], {}, "training.*external"),
        ([FILM, {**DIGITAL, "weight": 0}], {}, "greater than 0"),
        ([FILM, {**DIGITAL, "weight": -1}], {}, "greater than 0"),
        ([HELD_OUT], {}, "received external for all"),
        ([FILM, {**HELD_OUT, "weight": 2}], {}, "no training sees an external source"),
        ([FILM, {**DIGITAL, "name": "Not Plain"}], {}, "pattern"),
        ([FILM, {**DIGITAL, "adapter": "nobody"}], {}, "adapter"),
        ([FILM, {**DIGITAL, "shade": "red"}], {}, "shade"),
        ([FILM, {**DIGITAL, "image_id": "keyed"}], {}, "image_id must be the same"),
        ([FILM], {"source": {"adapter": "mias", "root": "a"}}, "source or sources; received both"),
        ([], {}, "source or sources; received neither"),
        ([FILM, {**DIGITAL, "weight": 2}], {"mixing": "none"}, "no effect with mixing none"),
        (
            [FILM, {**DIGITAL, "images": {"for_processing": "accept"}}],
            {},
            "images.for_processing of the source digital differs",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(sources, changes, message):
    with pytest.raises(RecipeError, match=f"(?s){message}"):
        load(sources, **changes)


def test_balanced_sampling_contradicts_mixing():
    values = yaml.safe_load(Path("recipes/phantom.yaml").read_text())
    training = {**values["image_training"], "balance": "balanced_sampling"}
    with pytest.raises(RecipeError, match="contradicts mixing"):
        load([FILM, DIGITAL], image_training=training)
    assert load([FILM, DIGITAL], image_training=training, mixing="none").mixing == "none"


def test_mixing_needs_several_sources():
    with pytest.raises(RecipeError, match="no effect with one source"):
        load_recipe("phantom", ["mixing=sources"])


def test_a_source_that_reads_jpeg_pictures_makes_the_conversion_read_them():
    bcdr = {"name": "porto", "adapter": "bcdr", "root": "data/bcdr"}
    alone = load_recipe("phantom", ["source={adapter: bcdr, root: a}"])
    assert load([FILM, bcdr]).convert.lossy_jpeg == alone.convert.lossy_jpeg


def test_recipes_with_one_source_keep_their_bytes():
    # SHA-256 of the resolved recipes at db28008, before there were several sources.
    for name, digest in (
        ("inbreast_transfer", "1429811f31f719a4"),
        ("cbis_ddsm_yaroslav", "0f5569eb1d2b0851"),
    ):
        text = load_recipe(name).to_json()
        assert hashlib.sha256(text.encode()).hexdigest().startswith(digest), name
        assert "mixing" not in json.loads(text)
        assert "sources" not in json.loads(text)
