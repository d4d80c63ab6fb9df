"""The reference of the keys of a recipe. tests/pipelines/test_reference.py compares the pages."""

import pytest

from mammo_core.errors import RecordError
from mammo_core.reference import (
    attribute_descriptions,
    recipe_reference,
    replace_generated,
)
from mammo_core.training.config import ImageTrainingConfig


def test_every_key_has_a_meaning():
    rows = [line for line in recipe_reference().splitlines() if line.startswith("| `")]
    assert len(rows) > 100
    assert not [row for row in rows if row.endswith("|  |")]


@pytest.mark.parametrize(
    "cells",
    [
        "`seed` | integer, ≥ 0 | required",
        "`patch_training.stages[].cosine` | true or false | false",
        "`image_training.two_view` | keys below or null | null",
        "`source.inbreast.contours` | true or false | true",
        "`split.leak` | `drop_from_test`, `drop_from_train` | `drop_from_test`",
        "`members[].weight` | number, > 0 | `1.0`",
    ],
)
def test_types_and_defaults(cells):
    assert f"| {cells} |" in recipe_reference()


def test_shared_keys_are_listed_once():
    text = recipe_reference()
    assert "`patch_training.augmentation.shear`" in text
    assert "`image_training.augmentation.shear`" not in text
    assert "Keys: as in `patch_training.augmentation`." in text


def test_descriptions_include_those_of_bases():
    descriptions = attribute_descriptions(ImageTrainingConfig)
    assert descriptions["batch_size"] == "Records of a step."
    assert descriptions["head"].startswith("The head")


def test_only_the_marked_part_is_replaced():
    page = "a\n<!-- generated: x -->\nold\n<!-- end -->\nb\n<!-- generated: y -->\n<!-- end -->\n"
    changed = replace_generated(page, "x", "new\n")
    assert changed == page.replace("\nold\n", "\n\nnew\n\n")
    with pytest.raises(RecordError, match="no generated part 'z'"):
        replace_generated(page, "z", "new")
