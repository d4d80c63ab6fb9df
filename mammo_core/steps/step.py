"""How a step is declared, and everything that all steps share.

A step is a function of a context and the manifests of its inputs that returns the manifest of its
output. Called as `convert(run, tables=manifest)`, it writes its status into the record of the run
before and after the work. `at_paths` calls the same steps for Kubeflow Pipelines, which passes
files.
"""

import functools
import inspect
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple
from uuid import uuid4

from mammo_core.datasets import Manifest
from mammo_core.datasets.kinds import Kind
from mammo_core.datasets.outputs import Make, reuse_or_make
from mammo_core.datasets.shard_tables import complete
from mammo_core.errors import MammoError, RunError, SourceError, StoreError
from mammo_core.ingest.partition import Partition
from mammo_core.recipes import Recipe
from mammo_core.runs import Run
from mammo_core.steps.tracked import run_tracked
from mammo_core.store import Store


class StepContext:
    """What a step works with.

    Args:
        name: Name of the step, with its partition or ensemble member.
        run: The record of the run.
        recipe: The resolved recipe; None for a step that needs none.
        partition: The part of the work to do; None: all of it.

    Attributes:
        reused: Whether the output was published by an earlier run.
        rejects: Number of inputs that this step rejected.
        facts: What the run's summary shows of this step.
        started: When it started (seconds since 1970).
        attempt: Names this attempt at the step.
    """

    def __init__(
        self,
        name: str,
        run: Run,
        recipe: Recipe | None = None,
        partition: Partition | None = None,
    ) -> None:
        self.name = name
        self.run = run
        self.partition = partition
        self.reused = False
        self.rejects = 0
        self.facts: dict[str, Any] = {}
        self._recipe = recipe
        self.started = time.time()
        self.attempt, self._begins = uuid4().hex, True

    @property
    def store(self) -> Store:
        """The object store."""
        return self.run.store

    @property
    def recipe(self) -> Recipe:
        """The resolved recipe."""
        if self._recipe is None:
            raise RunError(
                f"The step {self.name} has no recipe",
                expected="a step that is declared with a recipe",
                received="one without",
            )
        return self._recipe

    def reuse_or_make(self, kind: Kind[Any], id: str, make: Make) -> Manifest:
        """Return the published output with an id; make it if there is none.

        Every heavy import belongs into `make`.

        Args:
            kind: Kind of the output.
            id: Its content address.
            make: Writes its files; the context publishes them.
        """
        return self.search_or_make(kind.output(id), lambda: kind.find(self.store, id), make)

    def search_or_make(
        self, output: str, search: Callable[[], Manifest | None], make: Make
    ) -> Manifest:
        """Return the output that `search` finds; make and publish it if there is none.

        No step publishes anything itself. A lease keeps a second run from making the same output
        (or the same partition of it) at the same time: it waits, searches again, and reuses what
        the first has published.

        Args:
            output: Name of the lease: the output's folder, or that of its inputs' digest.
            search: Returns the published output, or None.
            make: Writes its files; the context publishes them.
        """
        name = f"{output}/{self.partition}" if self.partition else output
        manifest, reused = reuse_or_make(self.store, name, search, make, say=self.say)
        return self.reuse(manifest) if reused else manifest

    def reuse(self, manifest: Manifest) -> Manifest:
        """Return an output of an earlier step, which is also that of this step."""
        self.reused = True
        self.say(f"reusing {manifest.folder}")
        from mammo_core.runs.withdrawn import withdrawals, withdrawn_text

        with suppress(StoreError):  # a step whose role cannot read tombstones
            text = withdrawn_text(manifest, withdrawals(self.store))
            if text:
                self.say(text)
        return manifest

    def require_few_rejects(self, rejected: int, total: int, inputs: str, table: str) -> None:
        """Count rejects, and fail the step when too many inputs were rejected.

        Args:
            rejected: Number of rejected inputs.
            total: Number of all inputs.
            inputs: Plural name of the inputs.
            table: Key of the rejects table in the store.

        Raises:
            SourceError: More inputs were rejected than the recipe allows.
        """
        self.rejects += rejected
        if rejected > self.recipe.max_reject_share * max(total, 1):
            raise SourceError(
                f"{rejected} of {total} {inputs} were rejected",
                expected=f"at most {self.recipe.max_reject_share:.0%} (max_reject_share)",
                received=f"{rejected / max(total, 1):.1%}",
                hint=f"the reasons are in {self.store.uri}/{table}",
            )

    def say(self, text: str) -> None:
        """Print a line of this step."""
        print(f"[{self.name}] {text}", flush=True)

    def note(self, **facts: Any) -> None:
        """Add facts to those of the step's status."""
        self.facts = {**self.facts, **facts}

    def write_status(self, state: str, **details: Any) -> None:
        """Write the step's status into the record of the run."""
        if self.partition:
            details["partition"] = str(self.partition)
        is_written = self.run.write_status(
            self.name,
            state,
            self.started,
            attempt=self.attempt,
            begins=self._begins,
            reused=self.reused,
            rejects=self.rejects,
            facts=self.facts,
            **details,
        )
        self._begins = False
        if not is_written:
            self.say(f"a later attempt has begun; the status {state!r} of this one is not recorded")

    @contextmanager
    def record_failure(self) -> Iterator[None]:
        """Write the status `failed` when the block raises, and let the error through."""
        try:
            yield
        except (Exception, SystemExit) as error:  # Beam exits on options that it does not know
            try:
                self.write_status("failed", error=error_message(error))
            except MammoError as second:
                self.say(f"the record of the run cannot be written: {second}")
            raise


class StepResult(NamedTuple):
    """What a step returns to a caller that reports on it.

    Attributes:
        manifest: The manifest of the output.
        reused: Whether an earlier run had published it.
    """

    manifest: Manifest
    reused: bool

    @property
    def metadata(self) -> dict[str, Any]:
        """The id, whether it was reused, and the counts of the output."""
        return {"id": self.manifest.id, "reused": self.reused, **self.manifest.counts}


class Step:
    """A declared step: a function that records what it does.

    Attributes:
        name: Name in records and printed lines.
        texts: Names of the arguments that are texts or switches rather than manifests.
        optional: Names of the manifests that may be left out.
    """

    def __init__(self, name: str, function: Callable[..., Manifest], has_recipe: bool) -> None:
        parameters = list(inspect.signature(function).parameters.values())[1:]
        self.name = name
        self.texts = {item.name for item in parameters if item.annotation in (str, bool)}
        self.optional = {
            item.name for item in parameters if item.default is not item.empty
        } - self.texts
        self._function = function
        self._has_recipe = has_recipe
        functools.update_wrapper(self, function)

    def __call__(
        self, run: Run, *, recipe: str = "", recipe_digest: str = "", **inputs: Any
    ) -> Manifest:
        """Run the step and return the manifest of its output: see `execute`."""
        return self.execute(run, recipe=recipe, recipe_digest=recipe_digest, **inputs).manifest

    def execute(
        self, run: Run, *, recipe: str = "", recipe_digest: str = "", **inputs: Any
    ) -> StepResult:
        """Run the step as part of a run.

        Args:
            run: The record of the run, which gets the step's status.
            recipe: The recipe to use where the record has none.
            recipe_digest: SHA-256 of the recipe that the run began with; empty: any.
            inputs: The manifests and texts that the function takes.

        Raises:
            MammoError: The step failed; its status says why.
        """
        partition = inputs.pop("partition", "")
        context = StepContext(name_with_part(self.name, partition, inputs), run)
        with context.record_failure():
            if partition:
                context.partition = Partition.parse(partition)
            if self._has_recipe:
                context._recipe = run.recipe(recipe, recipe_digest)
            context.write_status("running")
            inputs = {name: _complete(run.store, value) for name, value in inputs.items()}
            manifest = run_tracked(
                context, context._recipe, inputs, lambda: self._function(context, **inputs)
            )
            # A partition publishes nothing.
            output = {} if context.partition else {"output": manifest.key}
            context.write_status("succeeded", counts=manifest.counts, **output)
        return StepResult(manifest, context.reused)


def _complete(store: Store, value: Any) -> Any:
    """Return an input with all files of its manifests: those passed on list no table's shards."""
    if isinstance(value, Manifest):
        return complete(store, value)
    return [_complete(store, item) for item in value] if isinstance(value, list) else value


#: Name → step, of the modules that were imported; `registry` imports the others.
_DECLARED: dict[str, Step] = {}


def step(name: str, *, has_recipe: bool = True) -> Callable[[Callable[..., Manifest]], Step]:
    """Declare a function of a context and manifests as a step.

    A parameter with the annotation `str` takes a text, any other a manifest or a list of
    manifests. Where a step does a `partition` of its work, or the work of a `member` of an
    ensemble, each part has its own status in the record of the run; the partition is an
    attribute of the context.

    Args:
        name: Name of the step in records and printed lines.
        has_recipe: Whether the run of the step has a recipe.

    Raises:
        RunError: A function of another module is declared as a step of this name, or the name is
            not that of the function, with dashes.
    """

    def declare(function: Callable[..., Manifest]) -> Step:
        declared = Step(name, function, has_recipe)
        # A function within a function cannot be found by its name.
        if "<locals>" not in function.__qualname__:
            _register(declared, function)
        return declared

    return declare


def declared_steps() -> Mapping[str, Step]:
    """Return name → step of the modules that were imported."""
    return _DECLARED


def _register(declared: Step, function: Callable[..., Manifest]) -> None:
    taken = _DECLARED.get(declared.name)
    if taken is not None and taken.__module__ != function.__module__:
        raise RunError(
            f"The step {declared.name!r} cannot be declared in {function.__module__}",
            expected="a name that is not taken",
            received=f"a name that {taken.__module__} declares",
        )
    if declared.name != function.__name__.replace("_", "-"):
        raise RunError(
            f"The step {declared.name!r} cannot be found by its function",
            expected=f"a function {declared.name.replace('-', '_')}",
            received=function.__name__,
        )
    _DECLARED[declared.name] = declared


def error_message(error: BaseException) -> str:
    """Return what a status and a printed line say about an error."""
    if isinstance(error, MammoError):
        return str(error)
    if isinstance(error, MemoryError):
        return "Out of memory. Expected more free memory. Received less than was requested."
    return f"{type(error).__name__}: {error}"


def name_with_part(name: str, partition: str, inputs: Mapping[str, Any]) -> str:
    """Return the name of a step and of its part: `convert-0-of-4`, `train-patch-vgg16`."""
    part = partition.replace("/", "-of-") or inputs.get("member", "")
    return f"{name}-{part}" if part else name
