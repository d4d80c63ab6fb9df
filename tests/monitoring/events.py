"""Small events, without any phantom."""

import numpy as np

from mammo_core.monitoring.batches import to_bytes
from mammo_core.monitoring.settings import GRAY_MEASURES
from mammo_core.scoring.events import ScoreEvent

MODEL_ID = "a" * 64


def make_events(random, exams, *, vendor="ge", shift=0.0, day="2027-01-04", start=0, **fields):
    """Return events of exams of two images each; the measures of an exam are alike."""
    events = []
    for number in range(start, start + exams):
        gray = random.normal(0.5 + shift, 0.1, len(GRAY_MEASURES))
        for view in ("CC", "MLO"):
            measured = gray + random.normal(0, 0.02, len(gray))
            score = float(np.clip(random.beta(2, 8), 0, 1))
            events.append(
                ScoreEvent(
                    **{
                        "at": f"{day}T08:00:00Z",
                        "model_id": MODEL_ID,
                        "probability": score,
                        "calibrated": score,
                        "decision": "positive" if score > 0.4 else "negative",
                        "vendor": vendor,
                        "image_type": "ffdm",
                        "view_class": view,
                        "exam": f"exam-{vendor}-{number}",
                        "image": f"image-{vendor}-{number}-{view}",
                        "gray": dict(zip(GRAY_MEASURES, measured.tolist(), strict=True)),
                        **fields,
                    }
                )
            )
    return events


def put(store, events, day="2027-01-04", number=0):
    """Write a batch; return its key."""
    key = f"{day.replace('-', '/')}/{number:06}-{number:016x}.json.gz"
    store.write(key, to_bytes(events))
    return key
