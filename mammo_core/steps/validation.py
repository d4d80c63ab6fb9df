"""The steps before training: is there enough that is new, and does it look as it should?"""

import json
from dataclasses import asdict
from pathlib import Path

from mammo_core.datasets import Manifest, content_id, find, parse, publish
from mammo_core.datasets.manifests import put_bytes
from mammo_core.datasets.tables import read_table
from mammo_core.errors import SourceError
from mammo_core.features.frame import FRAME_KIND, Frame, frame_from_manifest
from mammo_core.registry import ChampionRef, champion
from mammo_core.steps.base import StepContext, step
from mammo_core.steps.contamination import require_unseen_test_patients
from mammo_core.steps.data import TABLES
from mammo_core.store import Store

#: Raised by hand when the checks or the report change.
VALIDATION_REVISION = 1
VALIDATION = "validations"
NEWS = "news"


@step("validate-data")
def validate_data(context: StepContext, images: Manifest, frame: Manifest, report: str) -> Manifest:
    """Compare the new frame with the champion's; fails where it is beyond the limits.

    It fails as well where the champion has seen test patients of the frame.
    """
    recipe, store = context.recipe, context.store
    config = recipe.validation
    rival = champion(store, recipe.model_name)
    # The gate compares nobody with a model of permuted labels.
    if rival is not None and not recipe.shuffle_labels:
        require_unseen_test_patients(context, frame, rival.uri, "champion")
    theirs, why = _frame_of(store, rival)
    alike = rival is None or _converted_alike(store, images, rival)
    told = {"champion": theirs.id if theirs else "", "why": why, "alike": alike}
    id = content_id(
        VALIDATION,
        VALIDATION_REVISION,
        {**config.model_dump(mode="json"), **told},
        [(frame.kind, frame.id), (images.kind, images.id)],
    )

    def make() -> Manifest:
        from mammo_core.features.validation import validate
        from mammo_core.features.validation_report import validation_page

        ours = frame_from_manifest(store, frame)
        result = validate(ours, theirs, config, no_champion_reason=why, same_conversion=alike)
        page = validation_page(result, ours, theirs, f"{recipe.name}: data validation")
        folder = f"{VALIDATION}/{id}"
        data = json.dumps(asdict(result), sort_keys=True, indent=1).encode()
        files = (
            put_bytes(store, folder, "report.html", page.encode()),
            put_bytes(store, folder, "validation.json", data),
        )
        lines = [issue.text for issue in result.issues if issue.level == "note"]
        return publish(
            store,
            Manifest(
                kind=VALIDATION,
                id=id,
                revision=VALIDATION_REVISION,
                config=config.model_dump(mode="json"),
                files=files,
                counts=result.counts,
                facts={"passed": result.passed, "failures": result.failures, "notes": lines},
                lineage={
                    "frame": frame.id,
                    "images": images.id,
                    "champion_frame": result.champion_frame_id,
                },
            ),
        )

    manifest = context.find_or_make(VALIDATION, id, make)
    page = manifest.file("report.html")
    Path(report).parent.mkdir(parents=True, exist_ok=True)
    Path(report).write_bytes(store.read(page.key))
    failures = manifest.facts["failures"]
    context.facts = {**context.facts, **manifest.facts, "report": page.key}
    for line in [*failures, *manifest.facts["notes"]]:
        context.say(line)
    if not manifest.facts["passed"]:
        raise SourceError(
            f"The new data is not like the champion's ({len(failures)} checks failed): "
            f"{failures[0]}",
            expected="data within the limits of the recipe's `validation`",
            received=f"what {store.uri}/{page.key} shows",
            hint="train a new model on purpose under another model_name, or raise the limits",
        )
    context.say("the data is as the champion knows it" if theirs else "passed")
    return manifest


@step("find-new")
def find_new(context: StepContext, tables: Manifest) -> Manifest:
    """Count what is new since the champion's frame, and say whether that is enough."""
    from mammo_core.features import MAIN
    from mammo_core.features.new_images import new_images_since

    recipe, store = context.recipe, context.store
    rival = champion(store, recipe.model_name)
    theirs, why = _frame_of(store, rival)
    past = None
    if theirs is not None and rival is not None:
        manifest = find(store, TABLES, str(rival.lineage(store).get("tables_id", "")) or "-")
        past = read_table(store, manifest, "images.parquet") if manifest is not None else None
    news = new_images_since(
        store, read_table(store, tables, "images.parquet"), theirs, folder=MAIN, before=past
    )
    least = recipe.retrain.min_new_images
    enough = news.count >= least
    told = (
        f"{len(news.image_ids)} new images of {news.patients} patients, {len(news.relabeled)} "
        f"with another label: {'enough' if enough else 'too little'} (at least {least})"
    )
    context.say(why if theirs is None else f"since the frame {theirs.id} of the champion:")
    context.say(told)
    facts = {
        "enough": enough,
        "min_new_images": least,
        "champion_frame": theirs.id if theirs else "",
        "champion_uri": rival.uri if rival else "",
        "told": told,
    }
    context.facts = facts
    return Manifest(
        kind=NEWS,
        id=content_id(
            NEWS,
            1,
            {**facts, "relabelled": list(news.relabeled)},
            [(tables.kind, tables.id), *((id, "") for id in news.image_ids)],
        ),
        revision=1,
        config={},
        files=(),
        counts={
            "new_images": len(news.image_ids),
            "new_patients": news.patients,
            "relabelled_images": len(news.relabeled),
        },
        facts=facts,
        lineage={"tables": tables.id},
    )


def enough(path: str) -> bool:
    """Whether `find_new`, whose manifest lies at `path`, found enough to train again."""
    return bool(parse(Path(path).read_bytes(), path).facts["enough"])


def _frame_of(store: Store, rival: ChampionRef | None) -> tuple[Frame | None, str]:
    """The champion's frame, or why there is none to compare with."""
    if rival is None:
        return None, "There is no champion yet: nothing to compare with."
    id = str(rival.lineage(store).get("frame_id", ""))
    manifest = find(store, FRAME_KIND, id) if id else None
    if manifest is None:
        where = f"frame {id}" if id else "frame"
        return None, f"The {where} of the champion {rival.uri} is not in this store: not compared."
    return frame_from_manifest(store, manifest), ""


def _converted_alike(store: Store, images: Manifest, rival: ChampionRef) -> bool:
    """Whether the champion's records were made as these; True where they are gone."""
    id = str(rival.lineage(store).get("image_dataset_id", ""))
    theirs = find(store, images.kind, id) if id else None
    names = ("conversion", "geometry")
    return theirs is None or all(images.facts.get(n) == theirs.facts.get(n) for n in names)
