"""A warm start checks what images the start package takes."""

import pytest

from mammo_core.errors import ModelError
from mammo_core.packaging.start_contract import (
    contract_differences,
    require_same_contract,
    require_same_patch_classes,
)
from mammo_core.preprocessing import Conversion, Geometry, Preprocessing

GEOMETRY = Geometry(height=96, width=72)
OURS = Preprocessing(geometry=GEOMETRY, mean=50)


def changed(**values):
    return OURS.model_copy(update=values)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("geometry", changed(geometry=Geometry(height=96, width=70))),
        ("geometry", changed(geometry=Geometry(height=96, width=72, resize="pad"))),
        ("geometry", changed(geometry=Geometry(height=96, width=72, interpolation="cubic"))),
        ("scale", changed(intensity="image_max")),
        ("scale", changed(rescale_factor=1 / 65535)),
        ("scale", changed(bit_depth=8)),
        ("equalization", changed(equalize=True)),
        ("channels", changed(channels=3)),
        ("stretch", changed(conversion=Conversion(stretch="min_max"))),
        ("voi", changed(conversion=Conversion(voi=True))),
        ("for_processing", changed(conversion=Conversion(for_processing=True))),
        ("median_filter", changed(conversion=Conversion(median_filter=3))),
        ("suppress_artifacts", changed(conversion=Conversion(suppress_artifacts=True))),
        ("remove_pectoral", changed(conversion=Conversion(remove_pectoral=True))),
        ("crop_to_breast", changed(conversion=Conversion(crop_to_breast=True))),
        ("orientation", changed(conversion=Conversion(orientation="chest_left"))),
    ],
)
def test_a_difference_is_an_error_unless_it_is_allowed_by_name(name, theirs):
    assert set(contract_differences(theirs, OURS)) == {name}
    with pytest.raises(ModelError, match=rf"other images than the recipe makes: {name}") as caught:
        require_same_contract("m", theirs, OURS, ["patch_classes"])
    assert f"start_differences=[patch_classes, {name}]" in str(caught.value)
    assert require_same_contract("m", theirs, OURS, [name])[0].startswith(name)


def test_the_mean_masks_and_a_rounded_factor_are_no_difference():
    width = Geometry(height=96, width=72, masks="cubic")
    assert not contract_differences(changed(mean=1, geometry=width), OURS)
    assert not contract_differences(changed(rescale_factor=0.003891), OURS)
    tall = [Geometry(height=96, width=width, resize="height") for width in (1, 2)]
    assert not contract_differences(changed(geometry=tall[0]), changed(geometry=tall[1]))


def test_patch_classes_count_in_their_order():
    theirs = {"b": 1, "a": 0}
    require_same_patch_classes("m", theirs, ["a", "b"], [])
    with pytest.raises(ModelError, match=r"patch_classes.*patch_classes a, b.*patch_classes b, a"):
        require_same_patch_classes("m", theirs, ["b", "a"], ["geometry"])
    require_same_patch_classes("m", theirs, ["b", "a"], ["patch_classes"])
