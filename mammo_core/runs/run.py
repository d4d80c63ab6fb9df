"""A run's record: everything under `runs/<id>/` in the store, and nothing else knows its keys.

runs/<id>/recipe.json            the resolved recipe
runs/<id>/kfp-run-id             the Kubeflow Pipelines run that the record belongs to
runs/<id>/steps/<step>.json      the status of a step, or of a partition of one
runs/<id>/summary.json           written by the last task, whatever happened
runs/<id>/<step>.html            a page that a step shows while it runs
runs/<id>/tensorboard/<step>/…   events for TensorBoard
runs/<id>/lineage/…              OpenLineage events
"""

import hashlib
import json
import re
import time
from collections.abc import Mapping
from typing import Any

from mammo_core.errors import RecipeError, RunError
from mammo_core.recipes import Recipe, load_recipe
from mammo_core.store import MAXIMUM_NOTE_BYTES, Store, parse_object, read_object

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")
#: Bytes of the file with the id of a run.
_ID_BYTES = 2**10
_STATUS_KEY = re.compile(r"runs/([^/]+)/steps/[^/]+\.json")
_SUMMARY_KEY = re.compile(r"runs/([^/]+)/summary\.json")


def run_id_of(run_id: str, kfp_run_id: str = "") -> str:
    """Return the id of a run: its name, or the id that Kubeflow Pipelines gave it.

    Args:
        run_id: Name of the run; may be empty.
        kfp_run_id: Id that Kubeflow Pipelines gave the run; may be empty.

    Raises:
        RecipeError: The id cannot be the name of a folder. An id with braces is a placeholder that
            was not replaced: it would be the same for every run.
    """
    id = run_id or kfp_run_id
    if not _RUN_ID.fullmatch(id):
        raise RecipeError(
            "The run id is not valid",
            expected="letters, digits, '.', '-' and '_', starting with a letter or digit",
            received=repr(id),
            hint="leave run_id empty or choose another; an id with braces is a placeholder that "
            "the pipeline backend did not replace",
        )
    return id


class Run:
    """The record of one run.

    Attributes:
        store: The object store.
        id: Id of the run.
    """

    def __init__(self, store: Store, id: str) -> None:
        self.store = store
        self.id = run_id_of(id)

    @classmethod
    def open(cls, store: Store, run_id: str, kfp_run_id: str = "") -> "Run":
        """Return the record of a run after checking that it belongs to no other run.

        Args:
            store: The object store.
            run_id: Name of the run; empty: the id that Kubeflow Pipelines gave it.
            kfp_run_id: Id that Kubeflow Pipelines gave the run; empty outside of it.

        Raises:
            RecipeError: The id is not valid.
            RunError: Another run of Kubeflow Pipelines has used it.
        """
        run = cls(store, run_id_of(run_id, kfp_run_id))
        if kfp_run_id:
            run._claim(run_id_of(kfp_run_id))
        return run

    def _claim(self, kfp_run_id: str) -> None:
        key = self._key("kfp-run-id")
        if not self.store.exists(key):
            if self.statuses():
                raise self._taken_error("the id of a run outside of Kubeflow Pipelines")
            self.store.write_if(key, kfp_run_id.encode(), None)
        owner = self.store.read(key, _ID_BYTES).decode(errors="replace")
        if owner != kfp_run_id:
            raise self._taken_error(f"the id of Kubeflow Pipelines run {owner[:64]!r}")

    @property
    def recipe_uri(self) -> str:
        """URI of the resolved recipe, for `load_recipe`."""
        return f"{self.store.uri}/{self._key('recipe.json')}"

    @property
    def has_recipe(self) -> bool:
        """Whether the recipe was resolved."""
        return self.store.exists(self._key("recipe.json"))

    def write_recipe(self, recipe: Recipe) -> str:
        """Write the resolved recipe and return its SHA-256."""
        data = recipe.to_json().encode()
        self.store.write(self._key("recipe.json"), data)
        return hashlib.sha256(data).hexdigest()

    def recipe(self, reference: str = "", digest: str = "") -> Recipe:
        """Return the resolved recipe.

        Args:
            reference: The recipe to use when the record has none.
            digest: SHA-256 of the recipe that the run began with; empty: any.

        Raises:
            RunError: The recipe is not the one that the run began with.
            RecipeError: There is no recipe, or it is not valid.
        """
        key = self._key("recipe.json")
        data = self.store.read(key) if self.store.exists(key) else None
        received = hashlib.sha256(data).hexdigest() if data is not None else ""
        if digest and received != digest:
            raise RunError(
                f"The recipe of run {self.id} is not the one that the run began with",
                expected=f"{self.store.uri}/{key} with SHA-256 {digest}",
                received=f"SHA-256 {received}" if received else "no recipe",
                hint="if another run used this id, start this run again with another id",
            )
        return load_recipe(reference if data is None else data.decode())

    def member_names(self) -> list[str]:
        """Return the names of the networks of an ensemble, as far as the record has its recipe.

        The recipe may be of another version, so only these keys are read.
        """
        if not self.has_recipe:
            return []
        members = read_object(self.store, self._key("recipe.json")).get("members") or []
        return [str(member.get("name", "")) for member in members if isinstance(member, dict)]

    def recipe_name(self, reference: str = "") -> str:
        """Return the name of the resolved recipe, or what is known of it from its reference."""
        if self.has_recipe:
            return str(read_object(self.store, self._key("recipe.json"))["name"])
        # The run failed before its recipe was resolved: the recipe may be at fault.
        try:
            return load_recipe(reference).name if reference else ""
        except RecipeError:
            return reference[:80]

    def write_status(
        self,
        step: str,
        state: str,
        started: float,
        *,
        attempt: str = "",
        begins: bool = True,
        **details: Any,
    ) -> bool:
        """Write the status of a step, unless a later attempt at it has begun.

        Args:
            step: Name of the step, with its partition or ensemble member.
            state: `running`, `succeeded` or `failed`.
            started: When it started (seconds since 1970).
            attempt: Names the attempt at the step.
            begins: Whether this is the first status that the attempt writes.
            details: What else the summary needs: `reused`, `rejects`, `facts`, `counts`, `output`,
                `partition`, `error`.

        Returns:
            False if the status is that of a later attempt, and was left as it is.
        """
        status = {
            "step": step,
            "state": state,
            "started": round(started, 3),
            "seconds": round(time.time() - started, 2),
            "attempt": attempt,
            **{"reused": False, "rejects": 0, "facts": {}, **details},
        }
        key, data = self._key(f"steps/{step}.json"), _to_json(status, sort_keys=True)
        while True:
            stored = self.store.state(key, MAXIMUM_NOTE_BYTES)
            previous = {} if stored is None else parse_object(stored[0], key)
            if not begins and previous.get("attempt", attempt) != attempt:
                return False
            if self.store.put_if(key, data, None if stored is None else stored[1]) is not None:
                return True

    def statuses(self) -> dict[str, dict[str, Any]]:
        """Return step → status, in the order in which the steps started."""
        keys = [key for key in self.store.list(self._key("steps")) if key.endswith(".json")]
        statuses = [read_object(self.store, key, MAXIMUM_NOTE_BYTES) for key in keys]
        statuses.sort(key=lambda status: status["started"])
        return {str(status["step"]): status for status in statuses}

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write the summary of the run."""
        self.store.write(self._key("summary.json"), _to_json(summary))

    def summary(self) -> dict[str, Any]:
        """Return the summary that the last task wrote; empty where there is none."""
        key = self._key("summary.json")
        return read_object(self.store, key) if self.store.exists(key) else {}

    def write_page(self, step: str, html: str) -> None:
        """Write the page that a step shows while it runs."""
        self.store.write(self._key(f"{step}.html"), html.encode())

    def write_events(self, step: str, name: str, data: bytes) -> None:
        """Write a TensorBoard event file of a step."""
        self.store.write(self._key(f"tensorboard/{step}/{name}"), data)

    def write_lineage(self, name: str, data: bytes) -> None:
        """Write an event of lineage: of the run, or of a step."""
        self.store.write(self._key(f"lineage/{name}"), data)

    def delete(self) -> None:
        """Delete the record, before a run of the same id begins on this machine.

        Raises:
            RunError: The record belongs to a run on a cluster.
        """
        key = self._key("kfp-run-id")
        stored = self.store.read(key, _ID_BYTES) if self.store.exists(key) else b""
        owner = stored.decode(errors="replace")
        # The local runner of Kubeflow Pipelines gives numbers, a cluster UUIDs.
        if owner and not owner.isdecimal():
            raise self._taken_error(f"the id of Kubeflow Pipelines run {owner[:64]!r}")
        for key in list(self.store.list(f"runs/{self.id}")):
            self.store.delete(key)

    def _taken_error(self, received: str) -> RunError:
        return RunError(
            f"The run id {self.id} is taken",
            expected=f"an id that no other run uses in {self.store.uri}",
            received=received,
            hint="leave run_id empty to use the id of Kubeflow Pipelines",
        )

    def _key(self, name: str) -> str:
        return f"runs/{self.id}/{name}"


def _to_json(value: Mapping[str, Any], sort_keys: bool = False) -> bytes:
    return (json.dumps(value, sort_keys=sort_keys, indent=1) + "\n").encode()


def start_packages_of(recipe: Recipe) -> list[str]:
    """Return the packages that the networks of a recipe start from, each once."""
    networks = [recipe.of_member(member.name) for member in recipe.members] or [recipe]
    starts = (network.image_training.start for network in networks)
    return [uri for uri in dict.fromkeys(starts) if uri]


def read_start_packages(store: Store, run_id: str) -> list[str]:
    """Return the packages that a run started from, as far as the store has its recipe.

    The recipe may be of another version, so only these keys are read.

    Args:
        store: The store with the record of the run.
        run_id: Id of the run; empty or invalid: no packages.
    """
    key = f"runs/{run_id}/recipe.json"
    if not _RUN_ID.fullmatch(run_id) or not store.exists(key):
        return []
    recipe = read_object(store, key)
    sections = (recipe, *recipe.get("members", []))
    uris = [str(section.get("image_training", {}).get("start") or "") for section in sections]
    return [uri for uri in dict.fromkeys(uris) if uri]


def record_keys(store: Store) -> dict[str, str]:
    """Return key → id of its run, for every key of a record."""
    return {key: key.split("/")[1] for key in store.list("runs/")}


def run_of_status(key: str) -> str:
    """Return the id of the run if a key is that of a step's status, or an empty text."""
    match = _STATUS_KEY.fullmatch(key)
    return match[1] if match else ""


def run_of_summary(key: str) -> str:
    """Return the id of the run if a key is that of its summary, or an empty text."""
    match = _SUMMARY_KEY.fullmatch(key)
    return match[1] if match else ""
