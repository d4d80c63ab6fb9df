import numpy as np
import pytest

from mammo_core.imaging import chest_side, needs_flip

LEFT = np.zeros((20, 30), np.uint16)
LEFT[:, :10] = 500
RIGHT = LEFT[:, ::-1]
BOTH = np.full((20, 30), 500, np.uint16)
BOTH[:, 4:6] = 0


def test_the_chest_wall_is_on_the_side_of_the_tissue():
    assert chest_side(LEFT) == "left"
    assert chest_side(RIGHT) == "right"
    assert chest_side(np.zeros((4, 5), np.uint16)) == "left"


@pytest.mark.parametrize(
    ("image", "laterality", "orientation", "flip"),
    [
        (LEFT, "LEFT", "chest_left", False),
        (LEFT, "LEFT", "chest_right", True),
        (RIGHT, "RIGHT", "chest_left", True),
        (RIGHT, "RIGHT", "chest_right", False),
        # The tissue decides, whatever the laterality is.
        (LEFT, "RIGHT", "chest_left", False),
        (RIGHT, "LEFT", "chest_left", True),
        (RIGHT, "LEFT", "chest_right", False),
        # Unclear: the laterality decides, and without one the side with more.
        (BOTH, "RIGHT", "chest_left", True),
        (BOTH, "LEFT", "chest_left", False),
        (BOTH, "", "chest_left", True),
        (RIGHT, "", "chest_left", True),
        (LEFT, "", "chest_left", False),
        (RIGHT, "RIGHT", "as_stored", False),
        (RIGHT, "", "as_stored", False),
    ],
)
def test_needs_flip(image, laterality, orientation, flip):
    assert needs_flip(image, laterality, orientation) is flip
