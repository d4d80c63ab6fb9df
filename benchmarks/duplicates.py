"""Measure how many copies of a picture are found, and how many of those found are copies.

Views of phantoms with a texture of their own, both views and both breasts of most patients; of
some, copies are made: JPEG, resized, 8 bits, flipped, cut, brightened. Recall is that of each kind,
precision the share of all pairs found that are copies of one view.

With `--priors`, views of patients with earlier exams are compared instead: an earlier exam, the
other view of a breast and the other breast share the patient's texture and are no copies.

    PYTHONPATH=. .venv/bin/python benchmarks/duplicates.py [--images 2000] [--copied 40] [--json]
    PYTHONPATH=. .venv/bin/python benchmarks/duplicates.py --priors 2 [--images 480] [--json]
"""

import argparse
import itertools
import json
import time
from collections import Counter
from typing import Any

#: Below these the benchmark fails.
LEAST_RECALL = 0.95
LEAST_PRECISION = 0.99


def measure(images: int, copied: int, seed: int) -> dict[str, Any]:
    """Draw, copy and compare; returns recall by kind, precision and seconds."""
    import numpy as np

    from mammo_core.imaging.picture_digest import picture_digest
    from mammo_core.phantom import PhantomConfig, draw_view, plan_views
    from mammo_core.sources.duplicates.pairs import same_pictures
    from tests.support.copies import copies_of

    config = PhantomConfig(patients=images, seed=seed, likeness=1.0)
    digests: list[bytes] = []
    owners: list[int] = []
    kinds: list[str] = []
    for owner, plan in enumerate(itertools.islice(plan_views(config), images)):
        if len(digests) >= images:
            break
        pixels = draw_view(config, plan).pixels
        copies = copies_of(pixels) if owner < copied else ()
        for kind, picture in (("", pixels), *copies):
            digests.append(picture_digest(picture))
            owners.append(owner)
            kinds.append(kind)
    started = time.process_time()
    table = np.frombuffer(b"".join(digests), np.uint8).reshape(len(digests), -1)
    pairs = same_pictures(table)
    seconds = time.process_time() - started
    right = [(one, other) for one, other in pairs if owners[one] == owners[other]]
    # The view itself comes before its copies.
    hits = Counter(kinds[other] for one, other in right if not kinds[one])
    copies_by_kind = Counter(kind for kind in kinds if kind)
    return {
        "images": len(digests),
        "views": owners[-1] + 1,
        "pairs": len(pairs),
        "precision": round(len(right) / max(len(pairs), 1), 4),
        "recall": {kind: round(hits[kind] / count, 4) for kind, count in copies_by_kind.items()},
        "compare_cpu_s": round(seconds, 2),
    }


def measure_related(images: int, priors: int, seed: int) -> dict[str, Any]:
    """Draw the exams of patients and compare all views; returns the pairs of each relation."""
    import numpy as np

    from mammo_core.imaging.picture_digest import picture_digest
    from mammo_core.phantom import PhantomConfig, draw_view
    from mammo_core.phantom.layouts.population import plan_population, view_plan
    from mammo_core.phantom.plan import PROJECTIONS
    from mammo_core.sources.duplicates.pairs import same_pictures

    patients = max(1, images // (4 * (1 + priors)))
    config = PhantomConfig(
        patients=patients, seed=seed, layout="csaw_cc", priors=priors, likeness=1.0
    )
    views: list[tuple[str, int, str, str]] = []
    digests: list[bytes] = []
    for patient in plan_population(config, look=0):
        for exam in patient.exams:
            for breast, view in itertools.product(exam.breasts, PROJECTIONS):
                pixels = draw_view(config, view_plan(patient, exam, breast, view)).pixels
                views.append((patient.key, exam.number, breast.laterality, view))
                digests.append(picture_digest(pixels))
    alike = set(same_pictures(np.frombuffer(b"".join(digests), np.uint8).reshape(len(views), -1)))
    pairs, matched = Counter[str](), Counter[str]()
    for one, other in itertools.combinations(range(len(views)), 2):
        relation = _relation(views[one], views[other])
        pairs[relation] += 1
        matched[relation] += (one, other) in alike
    return {
        "images": len(views),
        "patients": patients,
        "pairs": dict(pairs),
        "matched": dict(matched),
    }


def _relation(one: tuple[str, int, str, str], other: tuple[str, int, str, str]) -> str:
    if one[0] != other[0]:
        return "other patients"
    names = ("earlier exam", "other breast", "other view")
    differ = [name for name, a, b in zip(names, one[1:], other[1:], strict=True) if a != b]
    return " and ".join(differ)


def main() -> None:
    """Measure, print, and fail below the limits."""
    parser = argparse.ArgumentParser(description="Measure the search for copies.")
    parser.add_argument("--images", type=int, help="default: 2000; with --priors 480")
    parser.add_argument("--priors", type=int, help="earlier exams of each patient")
    parser.add_argument("--copied", type=int, default=40)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.priors:
        related = measure_related(arguments.images or 480, arguments.priors, arguments.seed)
        print(json.dumps(related, indent=None if arguments.json else 1))
        if any(related["matched"].values()):
            raise SystemExit("Pictures that are no copies matched.")
        return
    result = measure(arguments.images or 2000, arguments.copied, arguments.seed)
    print(json.dumps(result, indent=None if arguments.json else 1))
    if result["precision"] < LEAST_PRECISION or min(result["recall"].values()) < LEAST_RECALL:
        raise SystemExit(f"Below recall {LEAST_RECALL} or precision {LEAST_PRECISION}.")


if __name__ == "__main__":
    main()
