"""Data sets of different vendors: --first-vendor begins at another look."""

import pytest

from mammo_core.errors import RecipeError
from mammo_core.phantom.config import PhantomConfig
from mammo_core.phantom.plan import plan_views


def vendors(**options):
    return {view.vendor for view in plan_views(PhantomConfig(patients=20, **options))}


def test_a_data_set_has_the_vendors_from_the_first_one_on():
    assert vendors() == {0}
    assert vendors(first_vendor=2) == {2}
    assert vendors(vendors=2, first_vendor=3) == {3, 4}
    assert vendors(vendors=3, first_vendor=7) == {7, 0, 1}  # there are eight


def test_the_first_vendor_changes_nothing_else():
    plain, other = (plan_views(PhantomConfig(patients=20, first_vendor=n)) for n in (0, 5))
    assert [(v.patient_key, v.view, v.lesions) for v in plain] == [
        (v.patient_key, v.view, v.lesions) for v in other
    ]


def test_the_marker_of_older_trees_does_not_name_it():
    assert "first_vendor" not in PhantomConfig().to_json()
    assert PhantomConfig(first_vendor=1).to_json()["first_vendor"] == 1


def test_a_vendor_that_does_not_exist_is_refused():
    with pytest.raises(RecipeError, match="first vendor from 0 to 7"):
        PhantomConfig(first_vendor=8)
