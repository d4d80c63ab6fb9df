"""Data validation: allowed and forbidden differences from the champion's frame."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from mammo_core.features import MAIN, Frame, publish_features
from mammo_core.features.config import ValidationConfig
from mammo_core.features.data_checks.validation import validate
from mammo_core.features.data_checks.validation_report import validation_page
from mammo_core.features.kinds import FrameFacts
from mammo_core.features.labels import publish_labels
from mammo_core.features.new_images import new_images_since
from mammo_core.preprocessing import IntensityConfig
from tests.support.feature_tables import make_tables


def make_frame(count, seed=0, first=0, *, manufacturer="hologic", bits=12, mean=9000.0):
    """Return a frame of images first … first + count - 1, with normally distributed intensities."""
    draw = np.random.default_rng([seed, first])
    images = pd.DataFrame(
        {
            "image_id": [f"i{number:05d}" for number in range(first, first + count)],
            "manufacturer": manufacturer,
            "bits_stored": bits,
            "source": "table",
            "view": "CC",
            "laterality": "LEFT",
            "intensity_mean": draw.normal(mean, 1500, count),
            "intensity_standard_deviation": draw.normal(4000, 500, count),
            "label": 0,
            "split": "train",
        }
    )
    lesions = pd.DataFrame({"lesion_id": ["l"], "image_id": ["i0"], "patch_class": ["mass_ben"]})
    return Frame(
        id=f"f{first}-{count}",
        images=images,
        lesions=lesions,
        facts=FrameFacts(mean=1.0, rescale_factor=1.0, shuffled_labels=False),
    )


def with_more(frame, other):
    """Return a frame with the images of both."""
    return replace(frame, id="both", images=pd.concat([frame.images, other.images]))


CHAMPION = make_frame(400)


def failed(result):
    return sorted({issue.check for issue in result.issues if issue.level == "failed"})


def notes(result):
    return [issue.text for issue in result.issues if issue.level == "note"]


def test_without_a_champion_the_frame_passes_with_a_note():
    result = validate(CHAMPION, None)
    assert result.passed and notes(result) == ["There is no champion yet: nothing to compare with."]
    assert "no champion yet" in validation_page(result, CHAMPION, None)


@pytest.mark.parametrize("seed", range(20))
def test_new_images_from_the_same_distribution_pass(seed):
    """100 new images each, drawn from the distribution of the champion's images."""
    result = validate(with_more(CHAMPION, make_frame(100, seed, first=1000)), CHAMPION)
    assert result.passed, result.failures
    assert result.counts == {"images": 500, "new_images": 100, "champion_images": 400}


def test_the_same_frame_passes():
    result = validate(CHAMPION, CHAMPION)
    assert result.passed and notes(result) == []


@pytest.mark.parametrize(
    ("unusual", "check"),
    [
        (make_frame(25, first=1000, manufacturer="ge"), "manufacturer"),
        (make_frame(25, first=1000, bits=14), "bit_depth"),
        (make_frame(25, first=1000, mean=15000.0), "intensity"),
    ],
)
def test_a_few_unusual_images_among_many_old_ones_fail(unusual, check):
    """25 of 425 images: 5.9% of the frame, but all new images."""
    result = validate(with_more(CHAMPION, unusual), CHAMPION)
    assert not result.passed and failed(result) == [check]
    assert any("new images" in text for text in result.failures)
    assert result.issues[0].level == "failed"


def test_a_failure_names_the_new_and_the_old_values():
    unusual = make_frame(40, first=1000, manufacturer="ge")
    text = validate(with_more(CHAMPION, unusual), CHAMPION).failures[0]
    assert "40 of 440 images (9.1%)" in text and "ge (40)" in text and "hologic (400)" in text


def test_very_few_new_images_are_not_judged_separately():
    result = validate(with_more(CHAMPION, make_frame(10, first=1000, bits=14)), CHAMPION)
    assert result.passed
    assert notes(result) == ["Only 10 images are new: they are not judged separately."]
    assert any("10 of 410 images (2.4%)" in issue.text for issue in result.issues)


def test_a_frame_of_only_new_images_is_judged_once():
    result = validate(make_frame(400, first=1000), CHAMPION)
    assert result.passed
    assert len([issue for issue in result.issues if issue.check == "intensity"]) == 2


def test_the_recipe_sets_the_limits():
    frame = with_more(CHAMPION, make_frame(40, first=1000, manufacturer="ge", mean=15000.0))
    wide = ValidationConfig(max_unseen_manufacturer=1, max_drift=1)
    assert validate(frame, CHAMPION, wide).passed
    few = make_frame(5, first=1000, mean=15000.0)
    assert validate(few, CHAMPION, ValidationConfig(significance=1e-12)).passed
    assert failed(validate(few, CHAMPION, ValidationConfig(significance=0.05))) == ["intensity"]
    for invalid in ({"max_drift": 2}, {"min_images": 0}, {"max_drfit": 0.1}):
        with pytest.raises(ValidationError):
            ValidationConfig(**invalid)


def test_a_missing_column_or_another_type_fails():
    missing = replace(CHAMPION, images=CHAMPION.images.drop(columns=["view", "label"]))
    result = validate(missing, CHAMPION)
    assert failed(result) == ["schema"] and "view, label" in result.failures[0]
    text = replace(CHAMPION, images=CHAMPION.images.astype({"label": str}))
    assert "label (int64 → object)" in validate(text, CHAMPION).failures[0]


def test_columns_that_the_champion_lacks_are_not_compared():
    older = replace(CHAMPION, images=CHAMPION.images.drop(columns=["manufacturer"]))
    result = validate(CHAMPION, older)
    assert result.passed
    assert "The champion's frame has no manufacturer: not compared." in notes(result)


def test_another_intensity_is_a_note():
    intensity = IntensityConfig(regime="image_max")
    other = replace(CHAMPION, facts=CHAMPION.facts.model_copy(update={"intensity": intensity}))
    assert any("`intensity` differs" in text for text in notes(validate(other, CHAMPION)))


def test_gray_levels_of_another_conversion_are_not_compared():
    frame = make_frame(400, first=1000, mean=15000.0)
    assert failed(validate(frame, CHAMPION)) == ["intensity"]
    result = validate(frame, CHAMPION, same_conversion=False)
    assert result.passed
    assert any("gray levels are not compared" in text for text in notes(result))


def test_the_page_shows_checks_and_distributions():
    frame = with_more(CHAMPION, make_frame(40, first=1000, manufacturer="ge"))
    page = validation_page(validate(frame, CHAMPION), frame, CHAMPION, "demo: data validation")
    assert "demo: data validation" in page and "Data validation failed: 2 of 9 checks" in page
    assert "never saw: ge (40)" in page
    assert page.count("data:image/png;base64,") == 2


def test_new_and_relabeled_images_since_a_frame(file_store):
    tables = make_tables()
    publish_features(file_store, tables)
    rows = tables.images
    first_half = rows[:8]
    frame = replace(
        CHAMPION, images=first_half.assign(label=first_half["malignant"])[["image_id", "label"]]
    )
    new = new_images_since(file_store, rows, frame, folder=MAIN)
    assert new.image_ids == tuple(sorted(rows["image_id"][8:]))
    assert (new.patients, new.relabeled, new.count) == (4, (), 8)
    # Images that were left out by the frame's split are not new.
    before = rows[:12]
    assert len(new_images_since(file_store, rows, frame, folder=MAIN, before=before).image_ids) == 4
    # A label counts if it changed in the tables or by a correction.
    first = first_half["image_id"].iloc[0]
    changed = rows.assign(malignant=rows["malignant"].where(rows["image_id"] != first, 1))
    assert new_images_since(file_store, changed, frame, folder=MAIN).relabeled == (first,)
    labels = pd.DataFrame(
        [("image", first, 1, "")], columns=["kind", "id", "malignant", "pathology"]
    )
    publish_labels(file_store, labels, MAIN)
    assert new_images_since(file_store, rows, frame, folder=MAIN).relabeled == (first,)
    # Without a champion everything is new.
    assert new_images_since(file_store, rows, None, folder=MAIN).count == 16
