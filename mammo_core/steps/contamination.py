"""Whether test patients of a run were fitted to by a package that the run builds on."""

from typing import Literal

from mammo_core.datasets import Manifest
from mammo_core.datasets.tables import read_table
from mammo_core.errors import RecordError
from mammo_core.features.contamination import patient_overlap
from mammo_core.recipes import Recipe
from mammo_core.registry.ancestry import ancestry, recorded_site_key
from mammo_core.steps.base import StepContext

Role = Literal["champion", "start package"]


def starts_of(recipe: Recipe) -> list[str]:
    """Return the packages that the networks of a recipe start from, each once."""
    members = [recipe.of_member(member.name) for member in recipe.members] or [recipe]
    starts = (member.image_training.start for member in members)
    return [uri for uri in dict.fromkeys(starts) if uri]


def require_unseen_test_patients(
    context: StepContext, frame: Manifest, uri: str, role: Role
) -> None:
    """Refuse a test set with patients that a package, or one it was started from, was fitted to.

    The step's facts get role, package, test_patients, seen (a number), state (`none`,
    `unknown` or `seen`) and why it is unknown.

    Args:
        context: Of the step.
        frame: The run's frame.
        uri: The package.
        role: What the package is to the run.

    Raises:
        RecordError: Says how many of the test patients, and what to do.
    """
    store = context.store
    ours = read_table(store, frame, "images.parquet")
    site_key = recorded_site_key([store], frame)
    found = ancestry(uri, store)
    total = int(ours.loc[ours["split"] == "test", "patient_key"].nunique())
    unknown, seen, where = list(found.unknown), set[str](), []
    for fitted in found.frames:
        overlap = patient_overlap(ours, fitted.images, (site_key, fitted.site_key))
        if overlap.shared:
            seen |= overlap.shared
            where.append(f"{len(overlap.shared)} in the frame {fitted.id} of {fitted.package}")
        if overlap.uncertainty:
            unknown.append(f"{overlap.uncertainty} (frame {fitted.id} of {fitted.package})")
    state = "seen" if seen else "unknown" if unknown else "none"
    told = {
        "role": role,
        "package": uri,
        "test_patients": total,
        "seen": len(seen),
        "state": state,
        "why": unknown,
    }
    before = context.facts.get("test_patients_seen", [])
    context.facts = {**context.facts, "test_patients_seen": [*before, told]}
    if seen:
        raise RecordError(
            f"{len(seen)} of {total} test patients were in the training or validation set of the "
            f"{role} {uri}, or of a model that it was started from",
            expected="test patients that no earlier training has seen",
            received="; ".join(where),
            hint="keep every patient on the side that she had: split.name=given with "
            f"split.patients as in the frame's splits.parquet in {store.uri}/frames, new patients "
            "added (docs/evaluation.md); or train from the beginning under another model_name",
        )
    if unknown:
        context.say(
            f"unknown whether the {role} {uri} has seen any of the {total} test patients: "
            + "; ".join(unknown)
        )
    else:
        context.say(f"none of the {total} test patients was seen by the {role} {uri}")
