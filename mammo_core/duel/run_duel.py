"""A duel: both packages score the test images of patients that neither has seen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mammo_core.datasets import Manifest
from mammo_core.datasets.outputs import Attempt, Draft, reuse_or_make
from mammo_core.datasets.tables import put_table, read_table
from mammo_core.duel.kinds import DUEL, PACKAGE_SCORES, Contestant, DuelFacts, PackageScoreFacts
from mammo_core.duel.package_scores import score_source_images
from mammo_core.duel.seen_patients import SeenPatients, seen_patients
from mammo_core.duel.source_images import COLUMNS
from mammo_core.errors import RecordError
from mammo_core.evaluation.decisions import DecisionRules
from mammo_core.features.frame import frame_from_manifest
from mammo_core.models.backend import prepare_keras
from mammo_core.packaging import OpenedPackage
from mammo_core.packaging.contents import RULES, read_content
from mammo_core.progress import progress
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.store import Store

#: The table of a duel, and its columns besides those of the frame.
TABLE = "images.parquet"
CHALLENGER, CHAMPION, LEFT_OUT = "challenger_probability", "champion_probability", "left_out"
_FRAME_COLUMNS = [
    *("image_id", "patient_key", "exam_key", "view_id", "laterality", "view", "view_class"),
    "label",
]
_SCORES = "scores.parquet"


@dataclass(frozen=True)
class DuelInputs:
    """What a duel is fought with.

    Attributes:
        tables: The source tables.
        frame: The frame; its test split is scored.
        candidate: The output with the challenger's package.
        challenger: The challenger's package, opened.
        champion: The champion's package, opened.
        source: The files of the source.
    """

    tables: Manifest
    frame: Manifest
    candidate: Manifest
    challenger: OpenedPackage
    champion: OpenedPackage
    source: SourceFiles


def make_duel(
    attempt: Attempt,
    id: str,
    config: Mapping[str, Any],
    inputs: DuelInputs,
    say: Callable[[str], None],
) -> Draft:
    """Score the test images with both packages and write the table of the duel.

    Args:
        attempt: The attempt to make the duel.
        id: Its id.
        config: The configuration that entered the id.
        inputs: What it is fought with.
        say: Prints a line.
    """
    store = attempt.store
    frame = frame_from_manifest(store, inputs.frame)
    rows = frame.split("test")[_FRAME_COLUMNS]
    packages = {CHALLENGER: inputs.challenger, CHAMPION: inputs.champion}
    names = {
        CHALLENGER: "the challenger",
        CHAMPION: f"the champion {inputs.champion.name}/{inputs.champion.version}",
    }
    fitted = {}
    for role, package in packages.items():
        fitted[role] = seen_patients(store, inputs.frame, frame.images, names[role], package)
    left_out = frozenset().union(*(one.keys for one in fitted.values()))
    for role, one in fitted.items():
        if one.keys:
            say(f"{len(one.keys)} test patients are left out: {names[role]} was fitted to them")
        for sentence in one.unknown:
            say(f"{names[role]} may have seen test patients: {sentence}")
    kept = rows[~rows["patient_key"].isin(left_out)]
    images = _source_rows(store, inputs.tables, kept)
    table, scores_of = rows, {}
    for role, package in packages.items():
        scores = find_or_make_scores(store, package, images, inputs.source, say)
        scores_of[role.replace("probability", "scores")] = scores.id
        values = read_table(store, scores, _SCORES).set_index("image_id")["probability"]
        table = table.assign(**{role: table["image_id"].map(values).astype(float)})
    table = table.assign(**{LEFT_OUT: _reasons(table, fitted)})
    both = table[table[LEFT_OUT] == ""]
    facts = DuelFacts(
        state="compared" if len(both) else "no images",
        challenger=_contestant(names[CHALLENGER], CHALLENGER, inputs.challenger, fitted, table),
        champion=_contestant(names[CHAMPION], CHAMPION, inputs.champion, fitted, table),
        test_patients=int(rows["patient_key"].nunique()),
        left_out=len(left_out),
        patients=int(both["patient_key"].nunique()),
    )
    say(f"{len(both)} images of {facts.patients} patients were scored by both")
    return Draft(
        DUEL.manifest(
            id,
            config=config,
            files=[put_table(store, attempt.folder(DUEL.output(id)), TABLE, table)],
            counts={"images": len(table), "scored_by_both": len(both)},
            facts=facts,
            lineage={**lineage_of(inputs.candidate, inputs.frame, inputs.tables), **scores_of},
        )
    )


def lineage_of(candidate: Manifest, frame: Manifest, tables: Manifest) -> dict[str, str]:
    """Return the ids of what every duel is made from, with the evaluation that it judges."""
    return {
        "candidate": candidate.id,
        "evaluation": candidate.lineage.get("evaluation", ""),
        "frame": frame.id,
        "tables": tables.id,
    }


def find_or_make_scores(
    store: Store,
    package: OpenedPackage,
    images: pd.DataFrame,
    source: SourceFiles,
    say: Callable[[str], None],
) -> Manifest:
    """Return the scores of a package for some images; compute and publish them if there are none.

    Args:
        store: The object store.
        package: The package, opened.
        images: The images, with `source_images.COLUMNS`.
        source: The files of the source.
        say: Prints a line.
    """
    config = {"model_id": package.model_id}
    described = [[str(value) for value in row] for row in images[list(COLUMNS)].to_numpy()]
    # The path of a file changes no score.
    inputs = [(id, "\t".join(values)) for id, _, *values in described]
    id = PACKAGE_SCORES.content_id(config, inputs)

    def make(attempt: Attempt) -> Draft:
        prepare_keras()
        loaded = package.load()
        with progress("duel", len(images), "images") as bar:
            scores = score_source_images(loaded, images, source, bar.advance)
        return Draft(
            PACKAGE_SCORES.manifest(
                id,
                config=config,
                files=[
                    put_table(store, attempt.folder(PACKAGE_SCORES.output(id)), _SCORES, scores)
                ],
                counts={
                    "images": len(scores),
                    "rejects": int(scores["probability"].isna().sum()),
                },
                facts=PackageScoreFacts(model_id=package.model_id),
            )
        )

    output = PACKAGE_SCORES.output(id)
    manifest, reused = reuse_or_make(
        store, output, lambda: PACKAGE_SCORES.find(store, id), make, say=say
    )
    if reused:
        say(f"reusing {output}")
    return manifest


def _source_rows(store: Store, tables: Manifest, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the source table for some images of a frame."""
    images = read_table(store, tables, "images.parquet")
    selected = images[images["image_id"].isin(set(rows["image_id"]))][list(COLUMNS)]
    if len(selected) != len(rows):
        raise RecordError(
            "The frame has test images that are not in the source tables",
            expected="a frame that was made from these tables",
            received=f"{len(rows) - len(selected)} of {len(rows)} images without a row",
        )
    return selected.sort_values("image_id", ignore_index=True)


def _reasons(table: pd.DataFrame, fitted: Mapping[str, SeenPatients]) -> list[str]:
    """Why an image is not compared, or an empty text."""
    reasons = []
    for row in table.itertuples():
        roles = [role for role in fitted if row.patient_key in fitted[role].keys]
        verb = "seen by"
        if not roles:
            roles = [role for role in fitted if pd.isna(getattr(row, role))]
            verb = "not scored by"
        names = " and ".join(f"the {role.partition('_')[0]}" for role in roles)
        reasons.append(f"{verb} {names}" if roles else "")
    return reasons


def _contestant(
    name: str,
    role: str,
    package: OpenedPackage,
    fitted: Mapping[str, SeenPatients],
    table: pd.DataFrame,
) -> Contestant:
    is_asked = ~table[LEFT_OUT].str.startswith("seen")
    return Contestant(
        name=name,
        model_id=package.model_id,
        unit=package.manifest.unit,
        aggregation=read_content(package.folder, RULES, DecisionRules).aggregation,
        fitted_test_patients=len(fitted[role].keys),
        unknown=fitted[role].unknown,
        not_scored=int((table[role].isna() & is_asked).sum()),
    )
