"""A simulated year of a model in use: gray levels of drawn phantoms, scores of a classifier.

Each exam is that of a phantom of its vendor: four views, whose gray levels were measured in the
drawn pictures. So the images of an exam are as alike as those of one woman, and the measures of an
image depend on each other as real ones do. Where a vendor's gray curve has changed, the same
pictures were measured behind the new curve.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import product

import numpy as np

from mammo_core.imaging import measure_gray_levels
from mammo_core.imaging.plausibility import DISTRIBUTED, Distribution, distribution_of
from mammo_core.phantom.config import PhantomConfig
from mammo_core.phantom.draw import draw_view
from mammo_core.phantom.plan import plan_views
from mammo_core.scoring.events import ScoreEvent

#: Share of the exams of each vendor.
SHARES = (0.45, 0.3, 0.15, 0.1)
#: Exponent of the new gray curve.
NEW_CURVE = 1.4
MODEL_ID = "5" * 64
START = datetime(2027, 1, 4)
CHANGE = datetime(2027, 7, 1)
_WARNED = 0.03
_BACKGROUND = 0.03
_VIEWS = ("CC", "MLO")


@dataclass(frozen=True)
class Vendor:
    """A vendor: for each phantom the gray levels of its views, before and after a change."""

    name: str
    before: list[list[dict[str, float]]]
    after: list[list[dict[str, float]]]


def draw_vendors(patients=60, size=(128, 96), vendors=4) -> list[Vendor]:
    """Draw the phantoms of each vendor and measure them."""
    drawn = []
    for number in range(vendors):
        config = PhantomConfig(patients=patients, seed=number, height=size[0], width=size[1])
        women = {plan.patient_key: plan for plan in plan_views(config)}
        exams = []
        for plan in women.values():
            sides = [
                replace(plan, laterality=side, view=view, lesions=(), vendor=number + 1)
                for side, view in product(("LEFT", "RIGHT"), _VIEWS)
            ]
            exams.append([draw_view(config, side).pixels for side in sides])
        drawn.append(
            Vendor(
                f"vendor {'abcdefgh'[number]}",
                [[_measures(picture) for picture in exam] for exam in exams],
                [[_measures(_behind_new_curve(picture)) for picture in exam] for exam in exams],
            )
        )
    return drawn


def _measures(pixels: np.ndarray) -> dict[str, float]:
    measured = measure_gray_levels(pixels, 16)
    return {name: float(getattr(measured, name)) for name in DISTRIBUTED}


def _behind_new_curve(pixels: np.ndarray) -> np.ndarray:
    # The background stays as it is, as where a vendor sets it to 0: it would give all away.
    level = pixels / 65535
    above = np.clip(level - _BACKGROUND, 0, None) / (1 - _BACKGROUND)
    changed = np.minimum(level, _BACKGROUND) + (1 - _BACKGROUND) * above**NEW_CURVE
    return np.rint(65535 * changed).astype(np.uint16)


def training_distributions(vendors: list[Vendor]) -> dict[str, Distribution]:
    """Return the distribution of each measure over the phantoms of all vendors."""
    rows = [image for vendor in vendors for exam in vendor.before for image in exam]
    return distribution_of({name: [row[name] for row in rows] for name in DISTRIBUTED})


def year(
    vendors: list[Vendor],
    seed: int,
    exams: int,
    *,
    changed: int | None = None,
    every_view: bool = True,
) -> Iterator[list[ScoreEvent]]:
    """Yield the events of each week of a year.

    Args:
        vendors: The vendors.
        seed: Draws the exams.
        exams: Exams in the year, of four images each.
        changed: The vendor whose gray curve changes at the start of month 7; None: nothing does.
        every_view: Whether all four images of an exam are there; else one of them, at random, as a
            watch chooses it.
    """
    random = np.random.default_rng(seed)
    shares = np.array(SHARES[: len(vendors)]) / sum(SHARES[: len(vendors)])
    pools = [(vendor.before, vendor.after) for vendor in vendors]
    for week in range(52):
        count = (week + 1) * exams // 52 - week * exams // 52
        of_vendor = random.choice(len(vendors), count, p=shares)
        seconds = np.sort(random.integers(0, 7 * 86400, count))
        women = random.random(count)
        logits = random.normal(-3, 1.2, count)[:, np.newaxis] + random.normal(0, 0.8, (count, 4))
        scores = (1 / (1 + np.exp(-logits))).round(6).tolist()
        warned = random.random((count, 4)) < _WARNED
        chosen = random.integers(4, size=count)
        events = []
        for number in range(count):
            at = START + timedelta(days=7 * week, seconds=int(seconds[number]))
            vendor = int(of_vendor[number])
            pool = pools[vendor][vendor == changed and at >= CHANGE]
            exam = pool[int(women[number] * len(pool))]
            token = f"{seed:04x}{week:04x}{number:08x}"
            for view in range(4) if every_view else (int(chosen[number]),):
                events.append(
                    ScoreEvent.model_construct(
                        at=f"{at:%Y-%m-%dT%H:%M:%SZ}",
                        model_id=MODEL_ID,
                        probability=scores[number][view],
                        calibrated=scores[number][view],
                        decision="positive" if scores[number][view] > 0.2 else "negative",
                        vendor=vendors[vendor].name,
                        image_type="ffdm",
                        view_class=_VIEWS[view % 2],
                        exam=token if every_view else "",
                        image=f"{token}-{view}",
                        warnings=("low_resolution",) if warned[number, view] else (),
                        gray=exam[view],
                    )
                )
        yield events
