"""The step `index`."""

import json
from dataclasses import replace

from mammo_core.datasets import Manifest
from mammo_core.datasets.outputs import Attempt, Draft
from mammo_core.datasets.tables import read_table
from mammo_core.sources.card.known_terms import terms_line
from mammo_core.sources.card.terms import Terms, acknowledged_names, require_allowed
from mammo_core.sources.kinds import TABLES
from mammo_core.sources.source_index import listing_digest, make_tables
from mammo_core.sources.splitting.trainability import require_trainable, source_obstacles
from mammo_core.steps.step import StepContext, step
from mammo_core.store import MAXIMUM_NOTE_BYTES, read_object

_PATIENTS_SHOWN = 5


@step("index")
def index(context: StepContext, use: str = "records") -> Manifest:
    """Find and describe the mammograms of the recipe's source: tables of images and lesions.

    That no network can be trained on a source is said here. It is an error where `use` is
    `training`, as in every pipeline; records can be made of any source.
    """
    recipe, store = context.recipe, context.store
    source = recipe.source
    files = source.files()
    files.require_root(
        f"source's folder {source.root}",
        "create the phantom first with `mammo phantom create`, or pass --source DIR",
    )
    context.say(terms_line(source))
    # The tables' id depends on their content; the memo finds it without reading the files.
    digest = listing_digest(source, files, recipe.images, recipe.labels)
    memo = TABLES.note("memos", digest)

    def search() -> Manifest | None:
        if not store.exists(memo):
            return None
        return TABLES.find(store, read_object(store, memo, MAXIMUM_NOTE_BYTES)["tables"])

    def finish(tables: Manifest) -> None:
        store.write(memo, json.dumps({"tables": tables.id}).encode())

    def make(attempt: Attempt) -> Draft:
        return replace(make_tables(attempt, source, recipe.images, recipe.labels), finish=finish)

    manifest = context.search_or_make(f"{TABLES.folder}/of-{digest}", search, make)
    facts, counts = TABLES.facts_of(manifest), manifest.counts
    leaking, left_out = facts.leaking_patients, facts.source.get("left_out", {})
    context.facts = {"leaking_patients": list(leaking), "left_out": left_out}
    if leaking:
        names = ", ".join(leaking[:_PATIENTS_SHOWN])
        more = " …" if len(leaking) > _PATIENTS_SHOWN else ""
        context.say(
            "leaking patients, in both official training and test tables: "
            f"{len(leaking)} ({names}{more})"
        )
    if left_out:
        causes = ", ".join(f"{cause} {number}" for cause, number in left_out.items())
        context.say(f"left out by the recipe: {counts['left_out']} images ({causes})")
    for warning in facts.source.get("warnings", []):
        context.say(f"warning: {warning['message']}")
    context.require_few_rejects(
        counts["rejects"],
        counts["images"] + counts["lesions"] + counts["rejects"],
        "inputs",
        manifest.file("rejects.parquet").key,
    )
    _check_training(context, manifest, use)
    if use == "training":  # what would stop the push is said before the work
        stated = facts.source.get("terms")
        require_allowed(
            [Terms.model_validate(stated)] if stated else [],
            "model_redistribution",
            acknowledged_names(source.acknowledged),
            "The model of this run could not be pushed",
        )
    return manifest


def _check_training(context: StepContext, tables: Manifest, use: str) -> None:
    """Say what stands against a training; fail where there can be none."""
    recipe, store = context.recipe, context.store
    geometry = recipe.convert.geometry
    obstacles = source_obstacles(
        read_table(store, tables, "images.parquet"),
        read_table(store, tables, "lesions.parquet"),
        has_start=bool(recipe.image_training.start),
        size=(geometry.height, geometry.width),
    )
    for obstacle in obstacles if use != "training" else [o for o in obstacles if not o.stops]:
        context.say(f"warning: {obstacle.message}")
    if use == "training":
        require_trainable(obstacles, f"What was found: {store.uri}/{tables.file('audit.html').key}")
