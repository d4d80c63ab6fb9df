"""The beginning of a run: its recipe is resolved once and written into its record."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from mammo_core.errors import ModelError, RecipeError
from mammo_core.ingest.partition import partition_names
from mammo_core.packaging import TrustPolicy, signing_key
from mammo_core.packaging.signatures.keys import KEY, KEY_FILE
from mammo_core.packaging.signatures.trust import TRUST
from mammo_core.recipes import Recipe, load_recipe
from mammo_core.registry import champion
from mammo_core.runs import Run
from mammo_core.steps.step import StepContext
from mammo_core.steps.tracked import start_run
from mammo_core.store import Store, require_conditional_writes

_MAX_PARTITIONS = 1000
# Folders that the last steps write, and an entity tag that no object has.
_RELEASED = ("gates", "pushes", "models")
_NO_ETAG = "0" * 32


class RunStart(NamedTuple):
    """What the later steps of a run need from its beginning.

    Attributes:
        partitions: The partitions of conversion and sampling, each `i/n`; empty: not chosen yet.
        recipe_digest: SHA-256 of the resolved recipe.
    """

    partitions: list[str]
    recipe_digest: str


def begin(
    run: Run,
    recipe: str,
    *,
    source: str = "",
    settings: Sequence[str] = (),
    partitions: int = 1,
    start: str = "",
    signing_key_id: str | None = None,
) -> RunStart:
    """Resolve the recipe of a run and write it into the run's record.

    An error is recorded as one of the step `index`, which begins a run.

    Args:
        run: The record of the run.
        recipe: Name or URI of a recipe, or the recipe itself as a JSON object.
        source: URI of the mammograms instead of the recipe's.
        settings: Overrides of the recipe, `key.key=value`, applied in order.
        partitions: Number of partitions of conversion and sampling; 0: chosen after the index.
        start: Model package that training starts from: a URI, or `champion`.
        signing_key_id: What `check_signing_key` returned; empty: the pipeline has no such step;
            None: this is no pipeline.

    Raises:
        RecipeError: The recipe or the number of partitions is not valid, or models must be signed
            and the pipeline would look for the signing key only after training.
        ModelError: There is no champion to start from, or the trust policy cannot be used.
        StoreError: The store has no conditional writes, which leases and the registry need.
    """
    context = StepContext("index", run)
    with context.record_failure():
        require_conditional_writes(run.store)
        if TrustPolicy.from_environment() is not None and signing_key_id == "":
            raise RecipeError(
                "The run would look for its signing key only after training",
                expected=f"a pipeline compiled with --signed, because {TRUST} is set",
                received="one without",
                hint="pass --signed to `mammo pipeline compile`, `upload` or `run`",
            )
        overrides = list(settings)
        if source:
            overrides.append(f"source.root={json.dumps(source)}")
        resolved = load_recipe(recipe, overrides)
        if start:
            uri = _champion_uri(run.store, resolved) if start == "champion" else start
            overrides.append(f"image_training.start={json.dumps(uri)}")
            resolved = load_recipe(recipe, overrides)
        if not 0 <= partitions <= _MAX_PARTITIONS:
            raise RecipeError(
                "The number of partitions is out of range",
                expected=f"1 to {_MAX_PARTITIONS}, or 0: chosen from the bytes of the images",
                received=str(partitions),
            )
        digest = run.write_recipe(resolved)
        start_run(run, resolved, context.say)
    return RunStart(partition_names(partitions), digest)


def check_signing_key(run: Run) -> str:
    """Check, before any work, the key that will sign the model, and the right to push it.

    Only the last steps use them. The right is tried by writes whose condition never holds.

    Args:
        run: The record of the run.

    Returns:
        The id of the key.

    Raises:
        ModelError: There is none, it cannot be used, or the trust policy does not accept it.
        StoreError: These credentials may not write what a release writes.
    """
    context = StepContext("check-signing-key", run)
    with context.record_failure():
        context.write_status("running")
        key = signing_key()
        if key is None:
            raise ModelError(
                "The model of this run could not be signed",
                expected=f"a signing key ({KEY} or {KEY_FILE}), because the pipeline was compiled "
                "with --signed",
                received="none",
            )
        for folder in _RELEASED:
            run.store.put_if(f"{folder}/.check", b"", _NO_ETAG)
        context.write_status("succeeded")
    return key.public_id()


def network_names(recipe: Recipe) -> list[str]:
    """Return the names of the networks to train; one empty name where there is no ensemble."""
    return [member.name for member in recipe.members] or [""]


def _champion_uri(store: Store, recipe: Recipe) -> str:
    current = champion(store, recipe.model_name)
    if current is None:
        raise ModelError(
            "There is no model to start from",
            expected=f"a champion of {recipe.model_name} in {store.uri}",
            received="none",
            hint="run the pipeline `train` first",
        )
    return current.uri
