"""The sides of a run's patients: known ones keep theirs, new ones are drawn and stored."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from mammo_core.datasets import Manifest
from mammo_core.features.assignments import (
    DrawId,
    assignment_of,
    extend_assignment,
    lineage_of,
    note_lineage,
)
from mammo_core.features.data_checks.contamination import with_namespace
from mammo_core.registry.lineage.ancestry import ancestry
from mammo_core.registry.lineage.contamination import contamination_error, contamination_of
from mammo_core.registry.lineage.vault import (
    adopted_sides,
    find_vault,
    has_earlier_sides,
    inherited_sides,
)
from mammo_core.sources.kinds import TABLES
from mammo_core.sources.several.names import EXTERNAL
from mammo_core.sources.splitting.linked_sides import left_out, linked_sides
from mammo_core.sources.splitting.splits import assign
from mammo_core.store import Store

if TYPE_CHECKING:
    import pandas as pd

    from mammo_core.features.assignments import Assignment
    from mammo_core.registry.lineage.ancestry import Ancestry
    from mammo_core.registry.lineage.contamination import Contamination
    from mammo_core.sources.splitting.sides import Vault
    from mammo_core.sources.splitting.splits import SplitConfig, SplitResult


class Listener(Protocol):
    """Who hears what was found: a step."""

    def say(self, text: str) -> None:
        """Print a line."""

    def note(self, **facts: Any) -> None:
        """Record facts."""


@dataclass(frozen=True)
class SidesRequest:
    """Whose sides are needed, for what.

    Attributes:
        store: The object store.
        split: How the recipe splits patients.
        model_name: Name of the model.
        tables: The tables of the source.
        images: Their images.
        start_packages: URIs of the packages that training starts from.
        read_start_packages: Returns those of another run.
        links: Patient → the one who stands for all patients whose images show the same pictures.
        external: Images of the sources that are held out; None where there is none.
    """

    store: Store
    split: "SplitConfig"
    model_name: str
    tables: Manifest
    images: "pd.DataFrame"
    start_packages: Sequence[str]
    read_start_packages: Callable[[Store, str], list[str]]
    links: Mapping[str, str] = field(default_factory=dict)
    external: "pd.DataFrame | None" = None


@dataclass(frozen=True)
class RunSides:
    """The split of a run.

    Attributes:
        result: The split of each patient and image.
        assignment_id: Content address of the state of the assignment that was used.
        facts: Cause → number of patients who are on no side (`FrameFacts.withheld`).
    """

    result: "SplitResult"
    assignment_id: str
    facts: dict[str, int]


def run_sides(request: SidesRequest, listener: Listener) -> RunSides:
    """Assign the patients of a run: known ones keep their sides, and new ones are stored.

    Args:
        request: Whose sides are needed.
        listener: Hears what was found, before an error is raised.

    Raises:
        RecordError: A start package or a model before it was fitted to test patients, and the
            recipe does not exclude them.
        SourceError: The patients cannot be assigned as the recipe says.
    """
    import pandas as pd

    store, config, name = request.store, request.split, request.model_name
    images, read_start_packages = request.images, request.read_start_packages
    fold = config.fold if config.name == "folds" else 0
    ours = with_namespace(images)
    starts = {uri: ancestry(uri, store, read_start_packages) for uri in request.start_packages}
    vault = find_vault(store, ours, config, name, starts, read_start_packages)
    draw = DrawId.of(config, name)
    adopted = adopted_sides(store, ours, config, name, read_start_packages)
    has_earlier = has_earlier_sides(store, config, name)
    # A redraw, and a given split, follow the vault alone.
    draws = config.name in ("stratified", "official", "official-without-leak")
    inherited = inherited_sides(ours, starts) if draws and not has_earlier else {}
    origin = adopted.text or ("frames of the models that training starts from" if inherited else "")
    counts: dict[str, int] = {}
    sides: dict[str, tuple[str, ...]] = {}

    def extend(state: "Assignment | None") -> "Assignment":
        before = state or adopted.assignment
        known = before.known(ours) if before is not None else {}
        if state is None:
            known = {**inherited, **known}
        drawn = linked_sides(images, config, known, vault, request.links)
        sides.clear()
        sides.update(drawn)
        counts.clear()
        counts.update(known=len(known), new=len(drawn) - len(known), stored=state is not None)
        return assignment_of(ours, drawn, before)

    state = extend_assignment(
        store, draw, extend, origin=origin, lineage={"tables": request.tables.id}
    )
    note_lineage(store, lineage_of(config, name), draw, fold)
    _report(listener, draw.name, counts, origin, has_earlier)
    chosen = {key: side[fold] for key, side in sides.items()}
    withheld = _withhold(listener, chosen, vault)
    if request.external is not None:  # not stored: the role of a source decides, not a draw
        images = pd.concat([images, request.external], ignore_index=True)
        ours = with_namespace(images)
        chosen |= dict.fromkeys(request.external["patient_key"].astype(str), EXTERNAL)
    copies = left_out(chosen, request.links)
    if copies:
        chosen |= dict.fromkeys(copies, "excluded")
        withheld |= {"copies_on_another_side": len(copies)}
    # No model may have been fitted to external patients either.
    tested = ours["patient_key"].map(chosen).replace(EXTERNAL, "test")
    split = ours.assign(split=tested)
    overlaps = _overlaps(request, split, starts, listener)
    overlap = frozenset[str]().union(*(each.shared for each in overlaps))
    chosen |= dict.fromkeys(overlap, "excluded")
    if overlap:
        rows = ours[ours["patient_key"].isin(overlap)]
        withheld |= {"seen_by_ancestors": len(overlap), "images_seen_by_ancestors": len(rows)}
    return RunSides(assign(images, config, chosen), state.id, withheld)


def _report(
    listener: Listener, name: str, counts: dict[str, int], adopted: str, has_earlier: bool
) -> None:
    known, new = counts["known"], counts["new"]
    facts: dict[str, Any] = {"name": name, "known": known, "new": new, "redrawn": False}
    if counts["stored"]:
        listener.say(f"{known} patients keep their sides (assignment {name}), {new} are new")
    elif known:
        listener.say(f"{known} patients keep their sides, those of the {adopted}; {new} are new")
    elif has_earlier:
        facts["redrawn"] = True
        listener.say(
            f"the sides of all {new} patients are drawn anew: nothing is stored for the "
            f"assignment {name} with this seed"
        )
        if adopted:
            listener.say(adopted)
    listener.note(assignment=facts)


def _withhold(listener: Listener, sides: dict[str, str], vault: "Vault") -> dict[str, int]:
    """Leave out of training who was in a test set; the others were drawn within the limits."""
    tested = {key for key in vault.tested if sides.get(key) in ("train", "validation")}
    sides |= dict.fromkeys(tested, "excluded")
    out = {key for key in vault.tested if sides.get(key) == "excluded"}
    if not out:
        return {}
    listener.say(
        f"{len(out)} patients are in neither training nor validation: they were in a test set of "
        "this model or of one that it was started from"
    )
    return {"tested_before": len(out)}


def _overlaps(
    request: SidesRequest,
    images: "pd.DataFrame",
    starts: "dict[str, Ancestry]",
    listener: Listener,
) -> "list[Contamination]":
    """Find the test patients that start packages saw; refuse them unless they are excluded."""
    excluded = request.split.overlap == "exclude"
    site_key = str(TABLES.facts_of(request.tables).source.get("site_key", ""))
    results = []
    for uri, origin in starts.items():
        result = contamination_of(images, site_key, uri, "start package", origin)
        results.append(replace(result, excluded=excluded))
        listener.note(contamination=[each.to_dict() for each in results])
        if result.fitted and not excluded:
            raise contamination_error(result, request.store)
        listener.say(results[-1].description())
    return results
