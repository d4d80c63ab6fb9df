"""The step `index`."""

import json
from dataclasses import replace

from mammo_core.datasets import Manifest
from mammo_core.datasets.outputs import Attempt, Draft
from mammo_core.sources.kinds import TABLES
from mammo_core.sources.source_index import listing_digest, make_tables
from mammo_core.steps.step import StepContext, step

_PATIENTS_SHOWN = 5


@step("index")
def index(context: StepContext) -> Manifest:
    """Find and describe the mammograms of the recipe's source: tables of images and lesions."""
    source, store = context.recipe.source, context.store
    files = source.files()
    files.require_root(
        f"source's folder {source.root}",
        "create the phantom first with `mammo phantom create`, or pass --source DIR",
    )
    # The tables' id depends on their content; the memo finds it without reading the files.
    digest = listing_digest(source, files)
    memo = f"{TABLES.folder}/memos/{digest}.json"

    def search() -> Manifest | None:
        if not store.exists(memo):
            return None
        return TABLES.find(store, json.loads(store.read(memo))["tables"])

    def finish(tables: Manifest) -> None:
        store.write(memo, json.dumps({"tables": tables.id}).encode())

    def make(attempt: Attempt) -> Draft:
        return replace(make_tables(attempt, source), finish=finish)

    manifest = context.search_or_make(f"{TABLES.folder}/of-{digest}", search, make)
    leaking = TABLES.facts_of(manifest).leaking_patients
    context.facts = {"leaking_patients": list(leaking)}
    if leaking:
        names = ", ".join(leaking[:_PATIENTS_SHOWN])
        more = " …" if len(leaking) > _PATIENTS_SHOWN else ""
        context.say(
            "leaking patients, in both official training and test tables: "
            f"{len(leaking)} ({names}{more})"
        )
    counts = manifest.counts
    context.require_few_rejects(
        counts["rejects"],
        counts["images"] + counts["lesions"] + counts["rejects"],
        "inputs",
        f"{manifest.folder}/rejects.parquet",
    )
    return manifest
