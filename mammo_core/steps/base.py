"""What all steps share: the run's record, finding what was made before, telling faults."""

import functools
import hashlib
import inspect
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mammo_core.datasets import Manifest, find, parse
from mammo_core.errors import MammoError, RecipeError, SourceError
from mammo_core.ingest.partition import Partition
from mammo_core.processes import follow_parent
from mammo_core.recipes import Recipe, load_recipe
from mammo_core.store import Store, open_store

#: Set to 1 to see tracebacks of faults.
DEBUG = "MAMMO_DEBUG"
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")


@dataclass
class StepContext:
    """What a step works with.

    Attributes:
        name: The step.
        run_id: The run it belongs to.
        store: The object store.
        recipe: The resolved recipe.
        found: Whether the output was there already.
        rejects: Inputs that this step rejected.
        facts: What the run's summary should tell of this step.
        partition: The part of the work to do, where it is not the whole output.
    """

    name: str
    run_id: str
    store: Store
    recipe: Recipe
    found: bool = False
    rejects: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    partition: Partition | None = None

    def find_or_make(self, kind: str, id: str, make: Callable[[], Manifest]) -> Manifest:
        """Return the published output of this id, making it if there is none.

        A lease keeps a second run from making the same output (or the same partition of it) at
        the same time; `make` holds every heavy import.
        """
        present = find(self.store, kind, id)
        if present is None:
            lease = f"{kind}/{id}" + (f"/{self.partition}" if self.partition else "")
            with self.store.lease(lease):
                present = find(self.store, kind, id)  # made while we waited
                if present is None:
                    self.say(f"making {lease}")
                    return make()
        self.found = True
        self.say(f"found {kind}/{id}")
        return present

    def check_rejects(self, rejected: int, total: int, what: str, where: str) -> None:
        """Count rejects, and fail the step when their share is too large.

        Args:
            rejected: Rejected inputs.
            total: All inputs.
            what: Plural name of the inputs.
            where: Where the rejects table lies.

        Raises:
            SourceError: When more than the recipe's share was rejected.
        """
        self.rejects += rejected
        if rejected > self.recipe.max_reject_share * max(total, 1):
            raise SourceError(
                f"{rejected} of {total} {what} were rejected",
                expected=f"at most {self.recipe.max_reject_share:.0%} (max_reject_share)",
                received=f"{rejected / max(total, 1):.1%}",
                hint=f"the reasons are in {self.store.uri}/{where}",
            )

    def say(self, text: str) -> None:
        """Print a line of this step."""
        print(f"[{self.name}] {text}", flush=True)

    def record(self, state: str, started: float, **more: Any) -> None:
        """Write the step's status into the run's record."""
        known: dict[str, Any] = {"found": self.found, "rejects": self.rejects, "facts": self.facts}
        if self.partition:
            known["partition"] = str(self.partition)
        write_status(self.store, self.run_id, self.name, state, started, **known, **more)


def write_status(
    store: Store, run_id: str, name: str, state: str, started: float, **more: Any
) -> None:
    """Write the status of a step into the run's record.

    Args:
        store: The object store.
        run_id: The run.
        name: The step.
        state: `running`, `succeeded` or `failed`.
        started: When (seconds since 1970).
        more: What else the run's summary should know.
    """
    status = {
        "step": name,
        "state": state,
        "started": round(started, 3),
        "seconds": round(time.time() - started, 2),
        **{"found": False, "rejects": 0, "facts": {}, **more},
    }
    key = f"runs/{run_id}/steps/{name}.json"
    store.write(key, (json.dumps(status, sort_keys=True, indent=1) + "\n").encode())


def run_id_of(run_id: str, kfp_run_id: str = "") -> str:
    """Return the id of a run: its name, or KFP's id of it where it has none.

    Raises:
        RecipeError: It cannot be a folder's name; with braces it is a placeholder that KFP did
            not replace, which would be the same for every run.
    """
    id = run_id or kfp_run_id
    if not _RUN_ID.fullmatch(id):
        raise RecipeError(
            "The run's id cannot be used",
            expected="letters, digits, '.', '-' and '_', a letter or digit first",
            received=repr(id),
            hint="leave run_id empty, or give another; a text with braces is a placeholder that "
            "the pipeline's backend did not replace",
        )
    return id


def open_run(store: Store, run_id: str, kfp_run_id: str = "") -> str:
    """Return the id of a run, after making sure that its record belongs to no other run.

    Args:
        store: The object store.
        run_id: The run's name; empty: KFP's id.
        kfp_run_id: KFP's id; empty: the run is none of KFP's.

    Raises:
        RecipeError: The id cannot be used, or another run of KFP has used it in this store.
    """
    id = run_id_of(run_id, kfp_run_id)
    if kfp_run_id:
        key, mine = f"runs/{id}/kfp-run-id", run_id_of(kfp_run_id)
        if not store.exists(key):
            store.write_if(key, mine.encode(), None)
        owner = store.read(key).decode(errors="replace")
        if owner != mine:
            raise RecipeError(
                f"The run id {id} is taken",
                expected=f"an id that no other run has in {store.uri}",
                received=f"that of KFP's run {owner[:64]!r}",
                hint="leave run_id empty: KFP's own id is then used",
            )
    return id


def recipe_digest(data: bytes) -> str:
    """Return the digest of the recipe in a run's record."""
    return hashlib.sha256(data).hexdigest()


def recipe_of(store: Store, run_id: str, recipe: str, digest: str = "") -> Recipe:
    """Return the recipe of a run: the resolved one of its record, or what `recipe` refers to.

    Args:
        store: The object store.
        run_id: The run.
        recipe: What is used where the record holds no recipe.
        digest: Digest of the recipe that the run began with; empty: any.

    Raises:
        RecipeError: The record holds another recipe, or none where a digest is given.
    """
    key = f"runs/{run_id}/recipe.json"
    data = store.read(key) if store.exists(key) else None
    if digest and (data is None or recipe_digest(data) != digest):
        raise RecipeError(
            f"The recipe of run {run_id} is not the one that the run began with",
            expected=f"{store.uri}/{key} with sha256 {digest}",
            received="no recipe" if data is None else f"sha256 {recipe_digest(data)}",
            hint="has another run used this id? Run it again under an id of its own",
        )
    return load_recipe(recipe if data is None else data.decode())


Body = Callable[..., Manifest]


def step(name: str) -> Callable[[Body], Callable[..., dict[str, Any]]]:
    """Make a step of a function.

    The function gets a StepContext and the manifests of its inputs, and returns the manifest
    of its output. The step takes the paths of the input manifests instead, and writes its own
    to `out`. What the function takes as text stays text, a list of paths becomes a list of
    manifests. Where a text divides the work (`partition`, `member`), each part has a status of
    its own in the run's record. An input with a default may be left out, be empty, or name an
    empty file. A record that belongs to another run of KFP, or whose recipe has another digest
    than the run began with, fails the step.

    Args:
        name: Name of the step in records and lines.
    """

    def decorate(body: Body) -> Callable[..., dict[str, Any]]:
        parameters = inspect.signature(body).parameters.values()
        texts = {parameter.name for parameter in parameters if parameter.annotation is str}
        optional = {one.name for one in parameters if one.default is not one.empty} - texts

        @functools.wraps(body)
        def run(
            *,
            store: str,
            run_id: str,
            recipe: str,
            out: str,
            kfp_run_id: str = "",
            recipe_digest: str = "",
            **inputs: Any,
        ) -> dict[str, Any]:
            started = time.time()
            context: StepContext | None = None
            try:
                follow_parent()
                place = open_store(store)
                id = open_run(place, run_id, kfp_run_id)
                resolved = recipe_of(place, id, recipe, recipe_digest)
                context = StepContext(_part_name(name, inputs), id, place, resolved)
                context.record("running", started)
                arguments = {
                    key: value if key in texts else _manifests(value)
                    for key, value in inputs.items()
                    if not (key in optional and _absent(value))
                }
                manifest = body(context, **arguments)
                Path(out).parent.mkdir(parents=True, exist_ok=True)
                Path(out).write_text(manifest.to_json())
                # A partition is not an output.
                output = {} if context.partition else {"output": manifest.key}
                context.record("succeeded", started, counts=manifest.counts, **output)
            except (Exception, SystemExit) as error:  # Beam leaves on options it does not know
                _tell(name, error, context, started)
                sys.exit(1)
            return {"id": manifest.id, "found": context.found, **manifest.counts}

        return run

    return decorate


def _manifests(paths: str | Sequence[str]) -> Manifest | list[Manifest]:
    if isinstance(paths, str):
        return parse(Path(paths).read_bytes(), paths)
    return [parse(Path(path).read_bytes(), path) for path in paths]


def _part_name(name: str, inputs: Mapping[str, Any]) -> str:
    """The step's name with the part that it does: `convert-0-of-4`, `train-patch-vgg16`."""
    part = inputs.get("partition") or inputs.get("member") or ""
    return f"{name}-{part.replace('/', '-of-')}" if part else name


def _absent(path: str | None) -> bool:
    return not path or not Path(path).exists() or not Path(path).stat().st_size


def _tell(name: str, error: BaseException, context: StepContext | None, started: float) -> None:
    message = str(error) if isinstance(error, MammoError) else _foreign(error)
    if os.environ.get(DEBUG) == "1" or not isinstance(error, (MammoError, OSError)):
        traceback.print_exc(file=sys.stdout)
    print(f"[{name}] error: {message}", flush=True)
    if context is not None:
        try:
            context.record("failed", started, error=message)
        except MammoError as second:
            print(f"[{name}] the run's record cannot be written: {second}", flush=True)


def _foreign(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "Out of memory. Expected more free memory. Received less than was asked for."
    return f"{type(error).__name__}: {error}"
