"""One retraining of a champion at a time: of runs that overlap, the first trains.

    new-images/claims/<model>.json   the champion that is trained on, and the run that does

The claim is not of a process, as a lease is: steps of a run are processes of their own, with pauses
between them. It ends with the summary of its run.
"""

import json
import time

from mammo_core.features.kinds import NEW_IMAGES
from mammo_core.runs.run import Run
from mammo_core.store import MAXIMUM_NOTE_BYTES, Store, parse_object

#: Without a sign of life, a run is taken for dead after this time (seconds): no attempt at a step
#: lasts longer.
ABANDONED_S = 4 * 24 * 3600.0


def claim_retraining(run: Run, model: str, champion_uri: str) -> str:
    """Claim a champion for a run that is to train it on.

    Args:
        run: The run.
        model: Name of the model.
        champion_uri: URI of the champion's version.

    Returns:
        Id of the other run that trains this champion on; empty if this run may.
    """
    key = NEW_IMAGES.note("claims", model)
    claim = {"run": run.id, "champion": champion_uri, "since": round(time.time(), 3)}
    data = (json.dumps(claim, sort_keys=True) + "\n").encode()
    while True:
        state = run.store.state(key, MAXIMUM_NOTE_BYTES)
        if state is not None:
            held = parse_object(state[0], key)
            owner = str(held.get("run", ""))
            if owner == run.id:
                return ""
            if held.get("champion") == champion_uri and _is_alive(run.store, owner, held):
                return owner
        if run.store.put_if(key, data, None if state is None else state[1]) is not None:
            return ""


def _is_alive(store: Store, run_id: str, claim: dict[str, object]) -> bool:
    """Whether a run may still be training: it has no summary, and began a step not long ago."""
    run = Run(store, run_id)
    if run.summary():
        return False
    since = claim.get("since")
    latest = since if isinstance(since, (int, float)) else 0.0
    for status in run.statuses().values():
        latest = max(latest, status["started"] + status["seconds"])
    return time.time() - latest < ABANDONED_S
