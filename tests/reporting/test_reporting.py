import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from mammo_core.errors import RecordError
from mammo_core.reporting import (
    Overlay,
    Page,
    Table,
    confusion_plot,
    contact_sheet,
    curves_plot,
    forest_plot,
    overlay,
    reliability_plot,
    roc_plot,
    training_plot,
)
from mammo_core.reporting.page import format_value


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def breast(height=300, width=230):
    rows, columns = np.mgrid[:height, :width]
    inside = ((rows - height / 2) / (height * 0.45)) ** 2 + (columns / (width * 0.8)) ** 2 < 1
    return (inside * (20000 + 40 * columns)).astype(np.uint16)


class TagBalance(HTMLParser):
    VOID = ("meta", "img", "br", "link", "hr", "input")

    def __init__(self):
        super().__init__()
        self.open, self.wrong, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        self.text.append(data)


def test_a_page_is_complete_escaped_and_needs_no_network():
    picture = roc_plot([0, 0.2, 1], [0, 0.8, 1], label="AUC 0.8")
    page = (
        Page("Run <b>1</b>", "below")
        .section("Facts", "intro & more")
        .facts({"Dataset": "a" * 64, "Empty": None})
        .numbers({"AUC": (0.91234, "interval")})
        .table(Table.from_records([{"item": "<script>alert(1)</script>", "count": 1234}]))
        .figure(picture, 'a "caption"', wide=False)
        .text("end")
    )
    html = page.html()
    parser = TagBalance()
    parser.feed(html)
    assert (parser.open, parser.wrong) == ([], [])
    text = "".join(parser.text)
    assert "Research use only. Not a medical device." in text
    assert "<script>alert(1)</script>" in text and "<script" not in html
    assert "Run <b>1</b>" in text and "<b>1</b>" not in html
    assert "0.912" in text and "1,234" in text and "–" in text
    assert not re.search(r"https?://|//\w+\.|src=\"(?!data:)|<link|@import", html)
    inside = re.search(r'src="data:image/png;base64,([^"]+)"', html)
    assert base64.b64decode(inside[1]) == picture
    assert page.html() == html


def test_a_page_without_a_section_shows_its_content():
    assert "alone" in Page("t").text("alone").html()


def test_long_tables_say_how_many_rows_they_omit():
    table = Table.from_records(({"n": n} for n in range(300)), limit=100)
    assert len(table.rows) == 100
    assert table.note == "The first 100 of 300 rows."


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (np.float32("nan"), "–"),
        (True, "yes"),
        (12345, "12,345"),
        (np.int64(7), "7"),
        (0.12345, "0.123"),
        (np.float32(0.5), "0.500"),
        (12345.6, "12,346"),
        ("a", "a"),
    ],
)
def test_values_are_formatted_for_readers(value, text):
    assert format_value(value) == text


def test_plots_are_images_and_deterministic():
    epochs = [
        {"stage": 1, "epoch": 1, "loss": 1.0, "val_loss": 1.1, "learning_rate": 1e-3},
        {"stage": 2, "epoch": 2, "loss": 0.5, "val_loss": None, "val_auc": float("nan")},
    ]
    for draw in (
        lambda: roc_plot([0, 1], [0, 1], label="x", points={"here": (0.2, 0.8)}),
        lambda: curves_plot({n: ([0, 1], [0, 1]) for n in "abcdef"}, title="t", x="x", y="y"),
        lambda: reliability_plot({"a": ([0.2], [0.0])}, {"a": ([0.0], [0.3])}, [7]),
        lambda: forest_plot([("CC", 0.8, 0.7, 0.9)], title="t", x="AUC", reference=0.5),
        lambda: training_plot(epochs, "Patch classifier"),
        lambda: training_plot(epochs[:1], "one epoch"),
        lambda: training_plot([{"epoch": 1}], "nothing logged"),
        lambda: confusion_plot(np.array([[5, 0], [0, 0]]), ("a", "b"), "empty class"),
    ):
        picture = draw()
        assert pixels(picture).std() > 1
        assert draw() == picture


def test_a_forest_plot_without_rows_is_an_error():
    with pytest.raises(RecordError, match="nothing to compare"):
        forest_plot([], title="t", x="AUC")


def test_a_training_plot_without_epochs_is_an_error():
    with pytest.raises(RecordError, match="no training"):
        training_plot([], "x")


def test_a_contact_sheet_shows_all_images_and_empty_classes():
    random = np.random.default_rng(0)
    groups = {
        "background": random.integers(0, 65535, (11, 20, 20)).astype(np.uint16),
        "mass_mal": np.zeros((0, 20, 20), np.uint16),
        "calc_mal": np.zeros((2, 20, 20), np.uint16),
    }
    tall = pixels(contact_sheet(groups, columns=8))
    short = pixels(contact_sheet({"background": groups["background"][:8]}, columns=8))
    assert tall.shape[0] > 3 * short.shape[0]  # 2 + 1 + 1 rows against 1
    assert (tall < 8).all(axis=2).any()  # a black image is shown and not omitted
    with pytest.raises(RecordError, match="contact sheet"):
        contact_sheet({"flat": np.zeros((20, 20), np.uint16)})
    with pytest.raises(RecordError, match="no class"):
        contact_sheet({})


def test_an_overlay_shows_the_heat_and_outlines_the_lesion():
    image = breast()
    mask = np.zeros(image.shape, bool)
    mask[140:170, 60:90] = True
    heat = np.zeros((30, 23))
    plain = pixels(overlay(Overlay(image, heat, None, "P_00001 LEFT CC")))
    outlined = pixels(overlay(Overlay(image, heat, mask, "P_00001 LEFT CC")))
    heat[14:17, 6:9] = 1
    hot = pixels(overlay(Overlay(image, heat, mask, "P_00001 LEFT CC")))
    assert plain.shape == outlined.shape == hot.shape
    changed = np.argwhere((hot.astype(int) - outlined).any(axis=2))
    # Only the right-hand image shows the heat.
    assert len(changed) > 50
    assert changed[:, 1].min() > hot.shape[1] * 0.4
    assert 0 < (outlined.astype(int) - plain).any(axis=2).sum() < plain.shape[0] * 10


def test_an_overlay_of_an_empty_or_large_image():
    assert pixels(
        overlay(Overlay(np.zeros((80, 60), np.uint16), np.zeros((4, 3)), None, "x"))
    ).any()
    large = overlay(Overlay(breast(1801, 1403), np.zeros((4, 3)), np.ones((1801, 1403), bool), "x"))
    assert len(large) < 500_000


def test_a_mask_of_another_size_is_rejected():
    with pytest.raises(RecordError, match="does not belong"):
        overlay(Overlay(breast(), np.zeros((4, 3)), np.ones((5, 5), bool), "x"))
