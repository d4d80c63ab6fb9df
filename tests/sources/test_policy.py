"""The policy of images: its defaults, each key, and the tables that it leaves."""

import itertools

import pytest
from pydantic import ValidationError

from mammo_core.dicom import ImageMeaning
from mammo_core.sources.auditing.policy import ImagePolicy, judge

# What issue "Every image is what it claims to be", line 3, says about each kind of image.
DEFAULTS = [
    ({"view": "CC", "image_type": "ffdm"}, "accept", ""),
    ({"view": "MLO", "image_type": "film"}, "accept", ""),
    ({}, "accept", ""),  # a PNG states nothing
    ({"view": "CC", "image_type": "synthetic"}, "warn", "type"),
    ({"view": "CC", "implant": True}, "warn", "implant"),
    ({"view": "CC", "implant": True, "view_modifiers": ("implant displaced",)}, "warn", "implant"),
    ({"view": "CC", "view_modifiers": ("implant displaced",)}, "warn", "implant"),
    ({"view": "CC", "burned_in": True}, "warn", "burned_in"),
    ({"view": "CC", "burned_in": False, "implant": False}, "accept", ""),
    *(({"view": view}, "on_request", "view")
      for view in ("ML", "LM", "LMO", "XCCL", "XCCM", "XCC", "FB", "SIO", "ISO")),
    *(({"view": view, "view_modifiers": (modifier,)}, "on_request", "modifier")
      for view in ("CC", None)
      for modifier in ("magnification", "spot compression", "axillary tail", "cleavage",
                       "rolled lateral", "tangential", "nipple in profile")),
    ({"view": "CC", "partial_view": True}, "on_request", "partial"),
    ({"view": "CC", "image_type": "contrast low-energy"}, "on_request", "type"),
    ({"view": "CC", "image_type": "contrast recombined"}, "reject", "type"),
    ({"view": "CC", "image_type": "tomosynthesis"}, "reject", "type"),
    ({"view": "CC", "image_type": "other"}, "reject", "type"),
    ({"view": "CC", "specimen": True}, "reject", "specimen"),
    ({"view": "CC", "for_processing": True}, "reject", "for_processing"),
    ({"view": "CC", "body_part": "chest"}, "reject", "body_part"),
    ({"view": "CC", "body_part": "breast"}, "accept", ""),
    # The strictest cause decides.
    ({"view": "ML", "specimen": True, "implant": True}, "reject", "specimen"),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "action", "code"), DEFAULTS, ids=str)
def test_the_defaults(facts, action, code):
    verdict = judge(ImageMeaning(**facts), ImagePolicy())
    assert (verdict.action, verdict.code) == (action, code)
    assert bool(verdict.reason) == (action != "accept")


@pytest.mark.parametrize(
    ("key", "facts"),
    [
        ("views", {"view": "ML"}),
        ("modifiers", {"view": "CC", "view_modifiers": ("cleavage",)}),
        ("types", {"view": "CC", "image_type": "synthetic"}),
        ("implants", {"view": "CC", "implant": True}),
        ("partial", {"view": "CC", "partial_view": True}),
        ("specimen", {"view": "CC", "specimen": True}),
        ("burned_in", {"view": "CC", "burned_in": True}),
        ("for_processing", {"view": "CC", "for_processing": True}),
    ],
)
def test_each_key_takes_each_action(key, facts):
    for action in ("accept", "warn", "on_request", "reject"):
        assert judge(ImageMeaning(**facts), ImagePolicy(**{key: action})).action == action
    with pytest.raises(ValidationError):
        ImagePolicy(**{key: "keep"})


def test_single_views_modifiers_and_types():
    policy = ImagePolicy(
        views={"ML": "accept", "CC": "reject", "other": "warn"},
        modifiers={"magnification": "warn"},
        types={"synthetic": "accept", "film": "reject"},
    )

    def action(**facts):
        return judge(ImageMeaning(**facts), policy).action

    assert [action(view=view) for view in ("ML", "CC", "MLO", "LM")] == [
        "accept", "reject", "accept", "warn",
    ]  # fmt: skip
    modifiers = ("magnification", "cleavage")
    assert [action(view_modifiers=(name,)) for name in modifiers] == ["warn", "on_request"]
    types = ("synthetic", "film", "ffdm", "contrast recombined")
    assert [action(image_type=name) for name in types] == ["accept", "reject", "accept", "reject"]
    for key, name in (("views", "AT"), ("modifiers", "implant displaced"), ("types", "fffdm")):
        with pytest.raises(ValidationError, match=name):
            ImagePolicy(**{key: {name: "accept"}})


def test_the_two_classes_of_the_original():
    """docs/original-system.md, "DREAM metadata"."""
    policy = ImagePolicy(views="original")
    classes = {
        "CC": "CC", "ML": "CC", "LM": "CC", "XCCL": "CC", "XCCM": "CC", "FB": "CC", "MLO": "MLO",
        "LMO": "MLO", "SIO": "MLO",
    }  # fmt: skip
    for view, name in classes.items():
        assert judge(ImageMeaning(view=view), policy).action == "accept"
        assert policy.view_class(view) == name
    assert judge(ImageMeaning(view="ISO"), policy).action == "on_request"
    default = ImagePolicy()
    assert [default.view_class(view) for view in ("ML", "SIO", "XCCL", "LMO", None)] == [
        "", "", "CC", "MLO", "",
    ]  # fmt: skip


def test_a_policy_is_the_same_after_a_package_has_kept_it():
    for views, types in itertools.product(
        ("original", "warn", {"ML": "accept"}), ("warn", {"synthetic": "reject"})
    ):
        policy = ImagePolicy(views=views, types=types)
        assert ImagePolicy.model_validate_json(policy.model_dump_json()) == policy
