"""Stored assignments: on which side every patient is, kept by later runs.

An assignment has a name (the recipe's `split.assignment`, by default the model's) and a draw (the
name and seed of the split). Each state of it is an output by content address; a pointer names the
state in force and is swapped only if nobody else has swapped it, so of two runs with new patients
the second one adds its own to what the first has stored.

    features/assignments/<id>/…                      a state: patients with their sides, images
    features/assignments/current/<draw>.json         the state in force
    features/assignments/lineages/<lineage>/<draw>.json   a draw that models of a lineage used
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mammo_core.datasets.manifests import Manifest, content_id
from mammo_core.datasets.outputs import Attempt, Draft, reuse_or_make
from mammo_core.datasets.tables import EncodedTable, read_table
from mammo_core.features.data_checks.contamination import Person, persons
from mammo_core.features.kinds import ASSIGNMENT, AssignmentFacts
from mammo_core.sources.splitting.sides import Sides
from mammo_core.sources.splitting.splits import SplitConfig
from mammo_core.store import MAXIMUM_NOTE_BYTES, Store, parse_object, read_object

if TYPE_CHECKING:
    import pandas as pd

Patient = Person
_SIDES: Final = "+"


@dataclass(frozen=True)
class DrawId:
    """A draw of an assignment: another name or seed is another draw.

    Attributes:
        name: Name of the assignment.
        split: Name of the split.
        seed: Its seed.
        folds: Number of folds; 1 for a split without.
    """

    name: str
    split: str
    seed: int
    folds: int

    @classmethod
    def of(cls, config: SplitConfig, model_name: str) -> "DrawId":
        """Return the draw of a recipe.

        Args:
            config: The recipe's split.
            model_name: Its model's name.
        """
        folds = config.folds if config.name == "folds" else 1
        return cls(config.assignment or model_name, config.name, config.seed, folds)

    @property
    def digest(self) -> str:
        """Name of its files."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:32]

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {"name": self.name, "split": self.split, "seed": self.seed, "folds": self.folds}


@dataclass(frozen=True)
class Assignment:
    """A state of an assignment.

    Attributes:
        patients: Patient → her side in each fold; one side without folds.
        images: Image id → its patient.
        id: Content address of the state; empty for one that is not stored.
    """

    patients: Mapping[Patient, tuple[str, ...]]
    images: Mapping[str, Patient]
    id: str = ""

    def known(self, images: "pd.DataFrame") -> Sides:
        """Return the sides of the patients of images: by their keys, or by an exact image.

        A patient whose images are on several sides is `excluded`.

        Args:
            images: image_id, patient_key, namespace.
        """
        by_key: dict[str, set[tuple[str, ...]]] = {}
        columns = (persons(images), images["patient_key"], images["image_id"])
        for person, key, image_id in zip(*columns, strict=True):
            patients = [person, self.images.get(str(image_id))]
            for patient in patients:
                if patient is not None and patient in self.patients:
                    by_key.setdefault(str(key), set()).add(self.patients[patient])
        return {
            key: next(iter(sides)) if len(sides) == 1 else ("excluded",) * len(min(sides))
            for key, sides in by_key.items()
        }


def lineage_of(config: SplitConfig, model_name: str) -> str:
    """Return the name of a lineage: that of the model, and for folds each fold of it.

    Args:
        config: The recipe's split.
        model_name: Its model's name.
    """
    if config.name != "folds":
        return model_name
    return f"{model_name}/fold-{config.fold}-of-{config.folds}-seed-{config.seed}"


def current_assignment(store: Store, draw: DrawId) -> Assignment | None:
    """Return the state of an assignment that is in force, or None."""
    return _state(store, draw)[0]


def extend_assignment(
    store: Store,
    draw: DrawId,
    extend: Callable[[Assignment | None], Assignment],
    *,
    origin: str = "",
    lineage: Mapping[str, str] | None = None,
) -> Assignment:
    """Store the sides of new patients; what was stored meanwhile is kept.

    Args:
        store: The object store.
        draw: The draw.
        extend: From the state in force (None: there is none) to the state with new patients; it
            is called again if another process stored one meanwhile.
        origin: Where the first sides are from; empty: drawn.
        lineage: Ids of what the new patients are from.

    Returns:
        The state in force, with the new patients.
    """
    pointer = ASSIGNMENT.note("current", draw.digest)
    while True:
        current, etag = _state(store, draw)
        extended = extend(current)
        if current is not None and extended.patients == current.patients:
            new_images = extended.images.keys() - current.images.keys()
            if not new_images:
                return current
        parent = {"parent": current.id} if current is not None else {}
        manifest = _publish(store, draw, extended, origin, {**(lineage or {}), **parent})
        content = json.dumps({**draw.to_json(), "assignment": manifest.id}, sort_keys=True)
        if store.put_if(pointer, content.encode(), etag) is not None:
            return Assignment(extended.patients, extended.images, manifest.id)


def note_lineage(store: Store, lineage: str, draw: DrawId, fold: int = 0) -> None:
    """Note that models of a lineage use a draw.

    Args:
        store: The object store.
        lineage: As `lineage_of` returns it.
        draw: The draw.
        fold: Number of the fold of this lineage.
    """
    key = ASSIGNMENT.note(f"lineages/{lineage}", draw.digest)
    if not store.exists(key):
        content = json.dumps({**draw.to_json(), "fold": fold}, sort_keys=True).encode()
        store.write_if(key, content, None)


def draws_of_lineage(store: Store, lineage: str) -> list[tuple[DrawId, int]]:
    """Return the draws that models of a lineage used, each with its fold."""
    folder = f"{ASSIGNMENT.folder}/lineages/{lineage}/"
    notes = [
        read_object(store, key, MAXIMUM_NOTE_BYTES)
        for key in store.list(folder)
        if "/" not in key[len(folder) :]
    ]
    return [
        (DrawId(note["name"], note["split"], note["seed"], note["folds"]), int(note["fold"]))
        for note in notes
    ]


def split_id(config: Mapping[str, Any], splits: Mapping[str, str]) -> str:
    """Return the content address of the split of images: the same images and sides, the same id.

    Args:
        config: The configuration of the split.
        splits: Image id → split.
    """
    return content_id("splits", 2, config, splits.items())


def assignment_of(
    images: "pd.DataFrame", sides: Mapping[str, tuple[str, ...]], before: Assignment | None
) -> Assignment:
    """Return a state with the patients of images added; excluded ones have no side to keep.

    Args:
        images: image_id, patient_key, namespace.
        sides: The sides of their patients.
        before: The state before; its patients stay as they are.
    """
    patients: dict[Patient, tuple[str, ...]] = {}
    files: dict[str, Patient] = {}
    columns = (persons(images), images["patient_key"], images["image_id"])
    for person, key, image_id in zip(*columns, strict=True):
        side = sides[str(key)]
        if "excluded" not in side:
            patients[person] = side
            files[str(image_id)] = person
    if before is None:
        return Assignment(patients, files)
    return Assignment({**patients, **before.patients}, {**files, **before.images})


def _state(store: Store, draw: DrawId) -> tuple[Assignment | None, str | None]:
    pointer = ASSIGNMENT.note("current", draw.digest)
    stored = store.state(pointer)
    if stored is None:
        return None, None
    manifest = ASSIGNMENT.read(store, str(parse_object(stored[0], pointer)["assignment"]))
    return read_assignment(store, manifest), stored[1]


def read_assignment(store: Store, manifest: Manifest) -> Assignment:
    """Read a stored state of an assignment."""
    patients = read_table(store, manifest, "patients.parquet")
    images = read_table(store, manifest, "images.parquet")
    owners = zip(images["namespace"], images["patient_key"], strict=True)
    keys = zip(patients["namespace"], patients["patient_key"], strict=True)
    sides = (tuple(str(text).split(_SIDES)) for text in patients["sides"])
    return Assignment(
        dict(zip(keys, sides, strict=True)),
        dict(zip(images["image_id"], owners, strict=True)),
        manifest.id,
    )


def _publish(
    store: Store, draw: DrawId, state: Assignment, origin: str, lineage: Mapping[str, str]
) -> Manifest:
    patients = _table(
        ((*patient, _SIDES.join(sides)) for patient, sides in state.patients.items()),
        ["namespace", "patient_key", "sides"],
    )
    images = _table(
        ((id, *patient) for id, patient in state.images.items()),
        ["image_id", "namespace", "patient_key"],
    )
    tables = [
        EncodedTable.of("patients.parquet", patients),
        EncodedTable.of("images.parquet", images),
    ]
    digests = [table.digest for table in tables]
    id = ASSIGNMENT.content_id(draw.to_json(), digests)

    def make(attempt: Attempt) -> Draft:
        folder = attempt.folder(ASSIGNMENT.output(id))
        return Draft(
            ASSIGNMENT.manifest(
                id,
                config=draw.to_json(),
                files=[table.put(store, folder) for table in tables],
                counts={"patients": len(state.patients), "images": len(state.images)},
                facts=AssignmentFacts(origin=origin),
                lineage=lineage,
            )
        )

    return reuse_or_make(store, ASSIGNMENT.output(id), lambda: ASSIGNMENT.find(store, id), make)[0]


def _table(rows: Iterable[tuple[str, ...]], columns: list[str]) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(sorted(rows), columns=pd.Index(columns), dtype="object")
