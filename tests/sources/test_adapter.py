"""The registry of adapters, and the adapter of `tests/contributing`, registered from outside."""

from importlib import import_module

import cv2
import numpy as np
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from mammo_core.cli.sources import app
from mammo_core.errors import RecipeError, SourceError
from mammo_core.recipes import load_recipe
from mammo_core.sources import Adapter, SourceConfig, index, register_adapter, registered_adapters
from mammo_core.sources import adapter as registry
from mammo_core.sources.identity.names import ImageName, read_name
from mammo_core.sources.identity.patients import is_public, publisher_of

EXAMPLE = "tests.contributing.adapter"


@pytest.fixture
def pairs(tmp_path, monkeypatch):
    """A folder that only the adapter `pairs` can read; the adapter is registered."""
    monkeypatch.setattr(registry, "_ADAPTERS", dict(registered_adapters()))
    register_adapter(import_module(EXAMPLE).PAIRS)
    for number, name in enumerate(("pair1-L-m", "pair1-R-b", "pair2-L-b")):
        pixels = np.random.default_rng(number).integers(0, 65536, (96, 80)).astype(np.uint16)
        cv2.imwrite(str(tmp_path / f"{name}.png"), pixels)
    (tmp_path / "notes.txt").write_text("not an image")
    return tmp_path


def test_the_adapters_of_the_library_are_discovered():
    assert {"cbis_ddsm", "folders", "inbreast", "table"} <= set(registered_adapters())


def test_an_adapter_from_outside_is_used_by_a_recipe(pairs):
    overrides = [f"source={{adapter: pairs, root: '{pairs}', pairs: {{malignant: b}}}}"]
    recipe = load_recipe("phantom", overrides)
    assert recipe.source.options(import_module(EXAMPLE).PairsOptions).malignant == "b"
    tables = index(recipe.source)
    assert dict(zip(tables.images["view_id"], tables.images["malignant"], strict=True)) == {
        "pair1_LEFT_MLO": 0,
        "pair1_RIGHT_MLO": 1,
        "pair2_LEFT_MLO": 1,
    }
    assert set(tables.images["source"]) == {"pairs"}
    assert load_recipe(recipe.to_json()) == recipe


def test_an_adapter_from_outside_is_checked_by_the_command(pairs):
    result = CliRunner().invoke(app, ["check", "--source", "pairs", "--images", str(pairs)])
    assert result.exit_code == 0
    assert "3 views, 2 patients" in result.stdout and "\n3 pairs\n" in result.stdout


def test_an_adapter_from_outside_reads_names_and_knows_pseudonyms(pairs):
    assert read_name("a/b/pair7-R-m.png") == ImageName("pair7", "RIGHT", "MLO")
    assert is_public("pair7") and publisher_of("pair7") == "pairs"
    assert publisher_of("P_00001") == "cbis_ddsm" and publisher_of("someone") == ""


@pytest.mark.parametrize(
    ("values", "location", "kind"),
    [
        ({"pairs": {"malign": "b"}}, ("pairs", "malign"), "extra_forbidden"),
        ({"malignant": "b"}, ("malignant",), "extra_forbidden"),
        ({"cbis_ddsm": {}}, ("cbis_ddsm",), "extra_forbidden"),  # it has no options
        ({"inbreast": {"group_mm": -1}}, ("inbreast", "group_mm"), "greater_than_equal"),
        ({"adapter": "pear"}, ("adapter",), "adapter"),
    ],
)
def test_wrong_keys_are_errors_at_their_location(pairs, values, location, kind):
    with pytest.raises(ValidationError) as caught:
        SourceConfig.model_validate({"adapter": "pairs", "root": "x", **values})
    (fault,) = caught.value.errors()
    assert (fault["loc"], fault["type"]) == (location, kind)


def test_an_unknown_adapter_in_a_recipe_names_the_others():
    with pytest.raises(
        RecipeError, match=r"source\.adapter.*bcdr, cbis_ddsm, cmmd, csaw_cc, embed"
    ):
        load_recipe("phantom", ["source.adapter=nothing"])


@pytest.mark.parametrize("name", ["table", "root", "Pairs", "my-pairs", ""])
def test_names_that_are_taken_or_not_valid_are_refused(pairs, name):
    example = import_module(EXAMPLE).PAIRS
    with pytest.raises(SourceError, match="cannot be registered"):
        register_adapter(Adapter(name=name, index=example.index))
    assert register_adapter(example) is example  # the same one again
