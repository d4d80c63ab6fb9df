"""Recorded from revision 1: they fail if the tree changes and REVISION was not raised.

The tables are compared by digest. Images are compared as thumbnails, within a tolerance,
because OpenCV may round differently on another processor.
"""

import hashlib
from pathlib import Path

import cv2
import numpy as np

from mammo_core.phantom import PhantomConfig, draw_view, plan_views
from mammo_core.phantom.marker import REVISION

RECORDED_REVISION = 1
RECORDED_TABLES = "b5d3c0e90f518835e7a39291f149436863162a54b5672e28b1a6c7de1ce52272"
RECORDED_THUMBNAILS = {
    "P_00004_LEFT_CC": [
        [6, 6, 6, 6, 6, 14],
        [49, 33, 10, 6, 6, 6],
        [92, 94, 69, 12, 6, 6],
        [108, 94, 95, 38, 6, 6],
        [120, 93, 92, 42, 6, 6],
        [100, 96, 73, 16, 6, 6],
        [64, 47, 14, 6, 6, 6],
        [6, 6, 6, 6, 6, 6],
    ],
    "P_00001_LEFT_MLO": [
        [139, 85, 7, 6, 8, 16],
        [147, 86, 25, 6, 6, 6],
        [135, 80, 71, 15, 6, 6],
        [125, 94, 101, 59, 6, 6],
        [103, 84, 76, 83, 9, 6],
        [119, 101, 73, 51, 6, 6],
        [57, 39, 20, 7, 6, 6],
        [22, 6, 6, 6, 6, 6],
    ],
}


def test_tables(original_tree: Path) -> None:
    tables = b"".join(path.read_bytes() for path in sorted(original_tree.glob("*.csv")))
    assert (REVISION, hashlib.sha256(tables).hexdigest()) == (RECORDED_REVISION, RECORDED_TABLES)


def test_thumbnails() -> None:
    config = PhantomConfig(patients=20, seed=3, height=192, width=144, difficulty=0.5)
    views = {view.view_id: view for view in plan_views(config)}
    for view_id, recorded in RECORDED_THUMBNAILS.items():
        thumbnail = cv2.resize(
            draw_view(config, views[view_id]).pixels, (6, 8), interpolation=cv2.INTER_AREA
        )
        np.testing.assert_allclose(thumbnail // 256, recorded, atol=2)
    assert REVISION == RECORDED_REVISION
