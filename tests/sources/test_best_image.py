"""The best of several images of one view: each criterion, and no dependence on order."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from mammo_core.sources.best_image import Candidate, choose_best, choose_views

PLAIN = Candidate("b", "CC", "CC", (), "ffdm", False, 43000.0, 2)


@pytest.mark.parametrize(
    ("worse", "reason"),
    [
        ({"view": "XCCL"}, "view XCCL: there is a CC"),
        ({"view_modifiers": ("magnification",)}, "modifier magnification"),
        ({"image_type": "synthetic"}, "image type synthetic: there is one of type ffdm"),
        ({"image_type": "contrast low-energy"}, "image type contrast low-energy"),
        ({"partial_view": True}, "partial view: there is a whole one"),
        ({"area_mm2": 20000.0}, "area 20000 mm²: there is one of 43000 mm²"),
        ({"area_mm2": 0.0}, "area unknown"),
        ({"acquisition_order": 1}, "acquired earlier"),
        ({"id": "c"}, "whose id comes first"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_each_criterion_decides_and_is_the_reason(worse, reason):
    # Everything after the criterion speaks for the worse image: the first difference decides.
    better = {"area_mm2": 90000.0, "acquisition_order": 9, "id": "a", "partial_view": False}
    names = ["partial_view", "area_mm2", "acquisition_order", "id"]
    decided = next(iter(worse))
    later = names[names.index(decided) + 1 :] if decided in names else names
    image = replace(PLAIN, **{"id": "x", **{name: better[name] for name in later}, **worse})
    for pair in ([PLAIN, image], [image, PLAIN]):
        choice = choose_best(pair)
        assert choice.chosen == ("b",)
        assert list(choice.reasons) == [image.id] and reason in choice.reasons[image.id]


def test_with_an_implant_the_displaced_image_is_preferred():
    displaced = replace(
        PLAIN, id="d", view_modifiers=("implant displaced",), area_mm2=1.0, acquisition_order=1
    )
    magnified = replace(displaced, id="m", view_modifiers=("implant displaced", "magnification"))
    choice = choose_best([PLAIN, displaced, magnified])
    assert choice.chosen == ("d",)
    assert "not displaced" in choice.reasons["b"] and "magnification" in choice.reasons["m"]


def test_partial_views_are_a_group_unless_there_is_a_whole_one():
    parts = [
        replace(PLAIN, id=name, partial_view=True, area_mm2=area)
        for name, area in (("p", 100.0), ("q", 300.0), ("r", 200.0))
    ]
    synthetic = replace(parts[0], id="s", image_type="synthetic")
    choice = choose_best([*parts, synthetic])
    assert set(choice.chosen) == {"p", "q", "r"} and list(choice.reasons) == ["s"]
    whole = choose_best([*parts, PLAIN])
    assert whole.chosen == ("b",) and set(whole.reasons) == {"p", "q", "r"}


def test_the_choice_does_not_depend_on_the_order_of_the_images():
    draw = np.random.default_rng(5)
    for _ in range(40):
        images = [
            Candidate(
                str(number),
                str(draw.choice(["CC", "XCCL", "FB"])),
                "CC",
                ((), ("tangential",), ("implant displaced",))[draw.integers(3)],
                str(draw.choice(["", "ffdm", "film", "synthetic", "other"])),
                bool(draw.integers(2)),
                float(draw.choice([0.0, 100.0, 100.4, 300.0])),
                int(draw.integers(3)),
            )
            for number in range(4)
        ]
        choices = {
            (frozenset(choice.chosen), tuple(sorted(choice.reasons.items())))
            for order in itertools.permutations(images)
            if (choice := choose_best(order))
        }
        assert len(choices) == 1
        (chosen, reasons) = choices.pop()
        assert chosen | {name for name, _ in reasons} == {image.id for image in images}


def test_views_of_breasts_are_chosen_apart():
    rows = [
        ("a", PLAIN),
        ("a", replace(PLAIN, id="m", view="MLO", view_class="MLO")),
        ("a", replace(PLAIN, id="l", view="ML", view_class="")),
        ("b", replace(PLAIN, id="x", view="XCCL")),
    ]
    choices = choose_views(rows)
    assert {key: choice.chosen for key, choice in choices.items()} == {
        ("a", "CC"): ("b",),
        ("a", "MLO"): ("m",),
        ("b", "CC"): ("x",),
    }
