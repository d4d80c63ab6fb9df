"""The beginning of a run: its recipe is resolved once and written into its record."""

import json
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

from mammo_core.errors import MammoError, ModelError, RecipeError
from mammo_core.processes import follow_parent
from mammo_core.recipes import Recipe, load_recipe
from mammo_core.registry import champion
from mammo_core.steps.base import (
    open_run,
    recipe_digest,
    recipe_of,
    run_id_of,
    write_status,
)
from mammo_core.store import Store, open_store, require_conditional_writes

_MAX_PARTITIONS = 1000


class RunStart(NamedTuple):
    """What the later steps of a run need of its first one.

    Attributes:
        partitions: The partitions of conversion and sampling, each `i/n`.
        recipe_digest: Digest of the resolved recipe.
    """

    partitions: list[str]
    recipe_digest: str


def begin(
    *,
    store: str,
    run_id: str,
    recipe: str,
    source: str = "",
    settings: Sequence[str] = (),
    partitions: int = 1,
    start: str = "",
    kfp_run_id: str = "",
) -> RunStart:
    """Resolve the recipe of a run and write it into the run's record.

    Args:
        store: URI of the store.
        run_id: Name of the run; empty: KFP's id.
        recipe: Name or URI of a recipe, or the recipe itself as a JSON object.
        source: URI of the mammograms instead of the recipe's.
        settings: Overrides of the recipe, `key.key=value`, applied in order.
        partitions: Into how many partitions conversion and sampling are divided.
        start: Model package that training starts from: a URI, or `champion`.
        kfp_run_id: KFP's id of the run.
    """
    began = time.time()
    place: Store | None = None
    id = ""
    try:
        follow_parent()
        place = open_store(store)
        id = open_run(place, run_id, kfp_run_id)
        require_conditional_writes(place)  # leases and the registry rest on them
        overrides = list(settings)
        if source:
            overrides.append(f"source.root={json.dumps(source)}")
        resolved = load_recipe(recipe, overrides)
        if start:
            where = _champion(place, resolved) if start == "champion" else start
            told = f"image_training.start={json.dumps(where)}"
            resolved = load_recipe(recipe, [*overrides, told])
        if not 1 <= partitions <= _MAX_PARTITIONS:
            raise RecipeError(
                "The number of partitions is out of range",
                expected=f"1 to {_MAX_PARTITIONS}",
                received=str(partitions),
            )
        data = resolved.to_json().encode()
        place.write(f"runs/{id}/recipe.json", data)
    except MammoError as error:
        _tell(place, id, error, began)
        sys.exit(1)
    return RunStart([f"{index}/{partitions}" for index in range(partitions)], recipe_digest(data))


def members(
    *, store: str, run_id: str, recipe: str, kfp_run_id: str = "", recipe_digest: str = ""
) -> list[str]:
    """Return the names of the networks to train; one empty name where there is no ensemble.

    Args:
        store: URI of the store.
        run_id: The run.
        recipe: The recipe's reference.
        kfp_run_id: KFP's id of the run.
        recipe_digest: Digest of the run's recipe; empty: any.
    """
    id = run_id_of(run_id, kfp_run_id)
    found = recipe_of(open_store(store), id, recipe, recipe_digest)
    return [member.name for member in found.members] or [""]


def _champion(store: Store, recipe: Recipe) -> str:
    found = champion(store, recipe.model_name)
    if found is None:
        raise ModelError(
            "There is no model to go on from",
            expected=f"a champion of {recipe.model_name} in {store.uri}",
            received="none",
            hint="run the pipeline `train` first",
        )
    return found.uri


def _tell(store: Store | None, run_id: str, error: MammoError, began: float) -> None:
    """Print the fault and leave it in the run's record, for the summary."""
    print(f"[index] error: {error}", flush=True)
    if store is None or not run_id:  # the record may be another run's
        return
    try:
        write_status(store, run_id, "index", "failed", began, error=str(error))
    except MammoError as second:
        print(f"[index] the run's record cannot be written: {second}", flush=True)
