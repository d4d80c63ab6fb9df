"""The step `index`."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from mammo_core.datasets import Manifest
from mammo_core.datasets.outputs import Attempt, Draft
from mammo_core.datasets.tables import read_table
from mammo_core.sources.auditing.policy import ImagePolicy
from mammo_core.sources.card.known_terms import stated_terms, terms_line
from mammo_core.sources.card.terms import acknowledged_names, require_allowed
from mammo_core.sources.config import SourceConfig
from mammo_core.sources.identity.label_windows import LabelsConfig
from mammo_core.sources.kinds import TABLES
from mammo_core.sources.several.entry import SourceEntry
from mammo_core.sources.several.names import NAME_COLUMN
from mammo_core.sources.several.union import make_union, union_digest
from mammo_core.sources.source_index import listing_digest, make_tables
from mammo_core.sources.splitting.trainability import require_trainable, source_obstacles
from mammo_core.steps.step import StepContext, step
from mammo_core.store import MAXIMUM_NOTE_BYTES, read_object

_PATIENTS_SHOWN = 5


@step("index")
def index(context: StepContext, use: str = "records") -> Manifest:
    """Find and describe the mammograms of the recipe's source: tables of images and lesions.

    Several sources are indexed one by one, and their tables are joined. That no network can be
    trained on a source is said here. It is an error where `use` is `training`, as in every
    pipeline; records can be made of any source.
    """
    recipe = context.recipe
    if recipe.source is not None:
        manifest = _index_source(context, recipe.source, recipe.images, recipe.labels)
    else:
        manifest = _index_sources(context, recipe.sources)
    _report(context, manifest)
    _check_training(context, manifest, use)
    if use == "training":  # what would stop the push is said before the work
        require_allowed(
            stated_terms(manifest),
            "model_redistribution",
            acknowledged_names(recipe.acknowledged),
            "The model of this run could not be pushed",
        )
    return manifest


def _index_source(
    context: StepContext, source: SourceConfig, policy: ImagePolicy, labels: LabelsConfig
) -> Manifest:
    """Index one source, or find its tables."""
    files = source.files()
    files.require_root(
        f"source's folder {source.root}",
        "create the phantom first with `mammo phantom create`, or pass --source DIR",
    )
    context.say(terms_line(source))
    # The tables' id depends on their content; the memo finds it without reading the files.
    digest = listing_digest(source, files, policy, labels)
    del files  # its listing is as large as the tables

    def make(attempt: Attempt) -> Draft:
        return make_tables(attempt, source, policy, labels)

    manifest = _search_or_make(context, digest, make)
    context.require_few_rejects(
        manifest.counts["rejects"],
        manifest.counts["images"] + manifest.counts["lesions"] + manifest.counts["rejects"],
        "inputs",
        manifest.file("rejects.parquet").key,
    )
    return manifest


def _index_sources(context: StepContext, entries: Sequence[SourceEntry]) -> Manifest:
    """Index several sources, and join their tables."""
    recipe, parts = context.recipe, dict[str, Manifest]()
    for entry in entries:
        context.say(f"source {entry.name}: {entry.adapter}, {entry.role}")
        policy, labels = entry.images or recipe.images, entry.labels or recipe.labels
        parts[entry.name] = _index_source(context, entry.config(), policy, labels)
    context.reused = False  # of the joined tables, not of those of the last source
    digest = union_digest(entries, parts)

    def make(attempt: Attempt) -> Draft:
        return make_union(attempt, entries, parts)

    return _search_or_make(context, digest, make)


def _search_or_make(
    context: StepContext, digest: str, make: Callable[[Attempt], Draft]
) -> Manifest:
    """Return the tables that a memo names, or make them and write it."""
    store = context.store
    memo = TABLES.note("memos", digest)

    def search() -> Manifest | None:
        if not store.exists(memo):
            return None
        return TABLES.find(store, read_object(store, memo, MAXIMUM_NOTE_BYTES)["tables"])

    def finish(tables: Manifest) -> None:
        store.write(memo, json.dumps({"tables": tables.id}).encode())

    return context.search_or_make(
        f"{TABLES.folder}/of-{digest}",
        search,
        lambda attempt: replace(make(attempt), finish=finish),
    )


def _report(context: StepContext, manifest: Manifest) -> None:
    """Say what the tables have that a user should know."""
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


def _check_training(context: StepContext, tables: Manifest, use: str) -> None:
    """Say what stands against a training; fail where there can be none."""
    recipe, store = context.recipe, context.store
    geometry = recipe.convert.geometry
    images = read_table(store, tables, "images.parquet")
    lesions = read_table(store, tables, "lesions.parquet")
    if recipe.sources:
        images = images[images[NAME_COLUMN].isin(recipe.training_names)]
        lesions = lesions[lesions["image_id"].isin(set(images["image_id"]))]
    obstacles = source_obstacles(
        images,
        lesions,
        has_start=bool(recipe.image_training.start),
        size=(geometry.height, geometry.width),
    )
    for obstacle in obstacles if use != "training" else [o for o in obstacles if not o.stops]:
        context.say(f"warning: {obstacle.message}")
    if use == "training":
        require_trainable(obstacles, f"What was found: {store.uri}/{tables.file('audit.html').key}")
