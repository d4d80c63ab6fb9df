"""Copies are found whatever happened to the file, and different mammograms never match."""

from collections import Counter

import numpy as np
import pytest

from mammo_core.imaging.picture_digest import DIGEST_BYTES, picture_digest
from mammo_core.phantom import PhantomConfig, draw_view, plan_views
from mammo_core.phantom.layouts.population import plan_population, view_plan
from mammo_core.sources.duplicates.pairs import same_pictures
from tests.support.copies import copies_of


def digests_of(pictures):
    digests = b"".join(map(picture_digest, pictures))
    return np.frombuffer(digests, np.uint8).reshape(-1, DIGEST_BYTES)


@pytest.fixture(scope="module")
def pictures():
    """Views of 16 patients who have a texture of their own, most with both views of a breast."""
    config = PhantomConfig(patients=16, seed=21, likeness=1.0)
    return [draw_view(config, plan).pixels for plan in plan_views(config)]


def test_copies_of_every_kind_are_found_and_nothing_else(pictures):
    shown, owners, kinds = [*pictures], [*range(len(pictures))], []
    for owner, pixels in enumerate(pictures[:10]):
        for kind, copy in copies_of(pixels):
            shown.append(copy)
            owners.append(owner)
            kinds.append(kind)
    pairs = same_pictures(digests_of(shown))
    assert [pair for pair in pairs if owners[pair[0]] != owners[pair[1]]] == []
    kinds_of_pairs = Counter(
        kinds[second - len(pictures)] for first, second in pairs if first < len(pictures)
    )
    assert kinds_of_pairs == Counter(kinds) and len(kinds_of_pairs) == 16


def test_views_breasts_and_patients_never_match(pictures):
    assert len(pictures) > 30
    assert same_pictures(digests_of(pictures)) == []


def test_views_that_were_once_taken_for_copies_are_none():
    # Found by benchmarks/duplicates.py --priors 2: patient, exam, side and view of each pair.
    config = PhantomConfig(patients=40, seed=3, layout="csaw_cc", priors=2, likeness=1.0)
    patients = plan_population(config, look=0)

    def pixels(patient, exam, side, view):
        planned = patients[patient].exams[exam - 1]
        breast = next(each for each in planned.breasts if each.laterality == side)
        return draw_view(config, view_plan(patients[patient], planned, breast, view)).pixels

    for one, other in (
        ((7, 2, "LEFT", "MLO"), (37, 1, "RIGHT", "MLO")),
        ((37, 1, "LEFT", "CC"), (37, 3, "RIGHT", "CC")),
    ):
        assert same_pictures(digests_of([pixels(*one), pixels(*other)])) == []


def test_two_mixed_tissues_are_not_one_picture(pictures):
    # Half of another picture: more in common than two exams of a breast have.
    one, other = pictures[0].astype(np.float32), pictures[1].astype(np.float32)
    mixed = ((one + other) / 2).astype(np.uint16)
    assert same_pictures(digests_of([pictures[0], mixed])) == []


def test_pictures_without_texture_match_nothing():
    empty = np.zeros((100, 80), np.uint16)
    assert picture_digest(empty) == bytes(DIGEST_BYTES)
    assert same_pictures(digests_of([empty, empty])) == [] == same_pictures(digests_of([]))
