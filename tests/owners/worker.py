"""One attempt at a whole run, in one process: `worker.py STORE SOURCE RUN EXTENT`.

EXTENT is `whole`; `data`, the steps before training; or `records`, without the frame, which needs
seconds to import. Prints the ids of the outputs. It is stopped, continued and killed from outside.
"""

import json
import sys
import time
from pathlib import Path

from mammo_core import steps
from mammo_core.processes import follow_parent
from mammo_core.recipes import load_recipe
from mammo_core.runs import Run
from mammo_core.store import open_store, require_conditional_writes
from tests.support.training_run import run_training

RECIPE = Path(__file__).parents[1] / "e2e" / "recipe.yaml"


def main(uri: str, source: str, run_id: str, extent: str) -> None:
    """Do the run and print name → id of its outputs."""
    follow_parent()
    print("begun", flush=True)
    start = time.monotonic()
    store = open_store(uri)
    require_conditional_writes(store)
    run = Run(store, run_id)
    settings = [f"source.root={source}", "runner.workers=2"]
    run.write_recipe(load_recipe(str(RECIPE), settings))
    if extent == "whole":
        outputs = run_training(run)
        ids = {name: output.id for name, output in outputs.items()}
        ids["model"] = outputs["model"].facts["model_id"]
        # What the champion was when they were asked depends on which of two runs was first.
        del ids["duel"], ids["decision"]
    else:
        tables = steps.index(run)
        images = steps.convert(run, tables=tables)
        outputs = {"tables": tables, "images": images}
        if extent == "data":
            outputs["frame"] = steps.publish_features(run, tables=tables, images=images)
        outputs["patches"] = steps.sample(run, tables=tables, images=images)
        ids = {name: output.id for name, output in outputs.items()}
    print(f"done {json.dumps(ids)} {time.monotonic() - start:.1f}", flush=True)


main(*sys.argv[1:])
