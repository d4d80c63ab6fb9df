"""A new frame against the champion's: what may differ, and what not."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from mammo_core.features import MAIN, Frame, publish_features
from mammo_core.features.config import ValidationConfig
from mammo_core.features.labels import publish_labels
from mammo_core.features.new_images import new_images_since
from mammo_core.features.validation import validate
from mammo_core.features.validation_report import validation_page
from mammo_core.preprocessing import IntensityConfig


def frame_of(count, seed=0, first=0, *, manufacturer="hologic", bits=12, mean=9000.0):
    """Images first … first + count - 1; intensities drawn around a mean."""
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
        mean=1.0,
        rescale_factor=1.0,
        shuffled_labels=False,
        facts={},
    )


def with_more(frame, other):
    """The images of both."""
    return replace(frame, id="both", images=pd.concat([frame.images, other.images]))


CHAMPION = frame_of(400)


def failed(result):
    return sorted({finding.check for finding in result.findings if finding.level == "failed"})


def notes(result):
    return [finding.text for finding in result.findings if finding.level == "note"]


def test_without_a_champion_it_passes_and_says_so():
    result = validate(CHAMPION, None)
    assert result.passed and notes(result) == ["There is no champion yet: nothing to compare with."]
    assert "no champion yet" in validation_page(result, CHAMPION, None)


@pytest.mark.parametrize("seed", range(20))
def test_more_of_the_same_passes(seed):
    """Twenty draws of 100 new images from the distribution of the champion's."""
    result = validate(with_more(CHAMPION, frame_of(100, seed, first=1000)), CHAMPION)
    assert result.passed, result.failures
    assert result.counts == {"images": 500, "new_images": 100, "champion_images": 400}


def test_the_very_same_frame_passes():
    result = validate(CHAMPION, CHAMPION)
    assert result.passed and notes(result) == []


@pytest.mark.parametrize(
    ("strangers", "check"),
    [
        (frame_of(25, first=1000, manufacturer="ge"), "manufacturer"),
        (frame_of(25, first=1000, bits=14), "bit_depth"),
        (frame_of(25, first=1000, mean=15000.0), "intensity"),
    ],
)
def test_strangers_among_many_known_images_show(strangers, check):
    """25 of 425 images: 5.9 % of the frame, all of the new ones."""
    result = validate(with_more(CHAMPION, strangers), CHAMPION)
    assert not result.passed and failed(result) == [check]
    assert any("new images" in text for text in result.failures)
    assert result.findings[0].level == "failed"


def test_a_failure_names_what_is_strange_and_what_is_known():
    strangers = frame_of(40, first=1000, manufacturer="ge")
    text = validate(with_more(CHAMPION, strangers), CHAMPION).failures[0]
    assert "40 of 440 images (9.1%)" in text and "ge (40)" in text and "hologic (400)" in text


def test_a_few_strangers_are_told_and_not_judged_alone():
    result = validate(with_more(CHAMPION, frame_of(10, first=1000, bits=14)), CHAMPION)
    assert result.passed
    assert notes(result) == ["Only 10 images are new: not judged on their own."]
    assert any("10 of 410 images (2.4%)" in finding.text for finding in result.findings)


def test_another_set_altogether_is_judged_once():
    result = validate(frame_of(400, first=1000), CHAMPION)
    assert result.passed
    assert len([finding for finding in result.findings if finding.check == "intensity"]) == 2


def test_limits_are_the_recipes():
    frame = with_more(CHAMPION, frame_of(40, first=1000, manufacturer="ge", mean=15000.0))
    wide = ValidationConfig(max_unseen_manufacturer=1, max_drift=1)
    assert validate(frame, CHAMPION, wide).passed
    few = frame_of(5, first=1000, mean=15000.0)
    assert validate(few, CHAMPION, ValidationConfig(significance=1e-12)).passed
    assert failed(validate(few, CHAMPION, ValidationConfig(significance=0.05))) == ["intensity"]
    for wrong in ({"max_drift": 2}, {"min_images": 0}, {"max_drfit": 0.1}):
        with pytest.raises(ValidationError):
            ValidationConfig(**wrong)


def test_a_lost_column_or_another_type_fails():
    lost = replace(CHAMPION, images=CHAMPION.images.drop(columns=["view", "label"]))
    result = validate(lost, CHAMPION)
    assert failed(result) == ["schema"] and "view, label" in result.failures[0]
    text = replace(CHAMPION, images=CHAMPION.images.astype({"label": str}))
    assert "label (int64 → object)" in validate(text, CHAMPION).failures[0]


def test_a_champion_of_an_older_release_is_compared_as_far_as_it_goes():
    older = replace(CHAMPION, images=CHAMPION.images.drop(columns=["manufacturer"]))
    result = validate(CHAMPION, older)
    assert result.passed
    assert "The champion's frame does not tell the manufacturer: not compared." in notes(result)


def test_another_way_to_numbers_is_told():
    other = replace(CHAMPION, intensity=IntensityConfig(regime="image_max"))
    assert any("in another way" in text for text in notes(validate(other, CHAMPION)))


def test_gray_levels_of_another_conversion_are_not_compared():
    frame = frame_of(400, first=1000, mean=15000.0)
    assert failed(validate(frame, CHAMPION)) == ["intensity"]
    result = validate(frame, CHAMPION, converted_alike=False)
    assert result.passed
    assert any("gray levels are not compared" in text for text in notes(result))


def test_the_page_shows_findings_and_distributions():
    frame = with_more(CHAMPION, frame_of(40, first=1000, manufacturer="ge"))
    page = validation_page(validate(frame, CHAMPION), frame, CHAMPION, "demo: data validation")
    assert "demo: data validation" in page and "Data validation failed: 2 of 9 checks" in page
    assert "never saw: ge (40)" in page
    assert page.count("data:image/png;base64,") == 2


def test_what_is_new_since_a_frame(file_store, made):
    tables = made.tables()
    publish_features(file_store, tables)
    rows = tables.images
    held = rows[:8]
    frame = replace(CHAMPION, images=held.assign(label=held["malignant"])[["image_id", "label"]])
    news = new_images_since(file_store, rows, frame, folder=MAIN)
    assert news.image_ids == tuple(sorted(rows["image_id"][8:]))
    assert (news.patients, news.relabeled, news.count) == (4, (), 8)
    # Images that the frame's source had and its split left out are not new.
    before = rows[:12]
    assert len(new_images_since(file_store, rows, frame, folder=MAIN, before=before).image_ids) == 4
    # A corrected label counts, whether the tables or a correction say so.
    first = held["image_id"].iloc[0]
    changed = rows.assign(malignant=rows["malignant"].where(rows["image_id"] != first, 1))
    assert new_images_since(file_store, changed, frame, folder=MAIN).relabeled == (first,)
    told = pd.DataFrame([("image", first, 1, "")], columns=["kind", "id", "malignant", "pathology"])
    publish_labels(file_store, told, MAIN)
    assert new_images_since(file_store, rows, frame, folder=MAIN).relabeled == (first,)
    # Without a champion everything is new.
    assert new_images_since(file_store, rows, None, folder=MAIN).count == 16
