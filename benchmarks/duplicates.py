"""Measure how many copies of a picture are found, and how many of those found are copies.

Views of phantoms with a texture of their own, both views and both breasts of most patients; of
some, copies are made: JPEG, resized, 8 bits, flipped, cut, brightened. Recall is that of each kind,
precision the share of all pairs found that are copies of one view.

    PYTHONPATH=. .venv/bin/python benchmarks/duplicates.py [--images 2000] [--copied 40] [--json]
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


def main() -> None:
    """Measure, print, and fail below the limits."""
    parser = argparse.ArgumentParser(description="Measure the search for copies.")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--copied", type=int, default=40)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = measure(arguments.images, arguments.copied, arguments.seed)
    print(json.dumps(result, indent=None if arguments.json else 1))
    if result["precision"] < LEAST_PRECISION or min(result["recall"].values()) < LEAST_RECALL:
        raise SystemExit(f"Below recall {LEAST_RECALL} or precision {LEAST_PRECISION}.")


if __name__ == "__main__":
    main()
