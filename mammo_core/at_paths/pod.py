"""The process of a pod, and its steps in forks of it.

Each step has the memory and the random state of a process of its own. What the kernel ends, the
pod does once more in smaller batches.
"""

import signal
import sys
from collections.abc import Callable
from typing import Any

from mammo_core.at_paths import exit_on_error, write
from mammo_core.datasets import parse
from mammo_core.errors import RunError
from mammo_core.processes import ForkResult, call_in_fork
from mammo_core.processes.lighter import LIGHTER
from mammo_core.recipes import Recipe
from mammo_core.runs import Run
from mammo_core.steps.registry import get_step
from mammo_core.steps.step import StepContext, StepResult, name_with_part
from mammo_core.store import open_store


class Pod:
    """The process of a pod.

    Args:
        store: URI of the object store.
        run_id: Name of the run; empty: the id from Kubeflow Pipelines.
        kfp_run_id: Id that Kubeflow Pipelines gave the run.
        recipe: Reference of the recipe; the resolved one in the run's record comes first.
        recipe_digest: SHA-256 of the recipe that the run began with; empty: any.
    """

    def __init__(
        self,
        store: str,
        run_id: str,
        kfp_run_id: str = "",
        recipe: str = "",
        recipe_digest: str = "",
    ) -> None:
        self.store, self._run_id, self._kfp_run_id = store, run_id, kfp_run_id
        self._recipe = {"recipe": recipe, "recipe_digest": recipe_digest}
        self._in_fork = False
        self._opened: Run | None = None

    def run(self) -> Run:
        """Return the record of the run; its connection to the store belongs to one process."""
        if self._opened is not None:
            return self._opened
        run = Run.open(open_store(self.store), self._run_id, self._kfp_run_id)
        if self._in_fork:
            self._opened = run
        return run

    def recipe(self, run: Run) -> Recipe:
        """Return the resolved recipe."""
        return run.recipe(self._recipe["recipe"], self._recipe["recipe_digest"])

    def step(self, name: str, **inputs: Any) -> StepResult:
        """Run a step in a fork, and return its output.

        Args:
            name: Name of the step.
            inputs: Manifests and texts, as the step takes them.
        """
        step = get_step(name)  # imported once, for the fork of each attempt
        full_name = name_with_part(name, inputs.get("partition", ""), inputs)

        def work() -> dict[str, Any]:
            result = step.execute(self.run(), **self._recipe, **inputs)
            return {"manifest": result.manifest.to_json(), "reused": result.reused}

        if self._in_fork:
            with exit_on_error(full_name):
                return step.execute(self.run(), **self._recipe, **inputs)
        answer = self.call(full_name, work)
        return StepResult(parse(answer["manifest"], name), answer["reused"])

    def call(self, name: str, work: Callable[[], Any]) -> Any:
        """Call a function in a fork; end this process where it fails.

        Args:
            name: Name of the step that it belongs to, with its partition or member.
            work: Returns plain JSON.
        """

        def guarded() -> Any:
            with exit_on_error(name):
                return work()

        if self._in_fork:
            return guarded()
        return self._repeat(name, guarded)

    def together(self, name: str, work: Callable[[], Any]) -> Any:
        """Call a function in a fork that its steps share, where each needs little: see `call`."""

        def shared() -> Any:
            self._in_fork = True
            return work()

        return self._repeat(name, shared)

    def _repeat(self, name: str, guarded: Callable[[], Any]) -> Any:
        with exit_on_error(name):
            result = call_in_fork(guarded)
            if result.exit_code == -signal.SIGKILL:
                print(
                    f"[{name}] was ended by the kernel (SIGKILL), as it does without memory: "
                    "once more, in smaller batches",
                    flush=True,
                )
                result = call_in_fork(guarded, {LIGHTER: "1"})
            if result.exit_code < 0:
                self._fail(name, result)
        if result.exit_code:  # its error is printed
            sys.exit(result.exit_code)
        return result.value

    def _fail(self, name: str, result: ForkResult) -> None:
        """Record a process that ended without a word, and raise what is to be said of it."""
        ended = signal.Signals(-result.exit_code).name
        with StepContext(name, self.run()).record_failure():
            raise RunError(
                f"The process of the step {name} was ended by {ended}",
                expected="a process that ends by itself",
                received="one without a result, also in smaller batches"
                if ended == "SIGKILL"
                else "one without a result",
                hint="raise the memory limit of the step (docs/cluster.md)"
                if ended == "SIGKILL"
                else None,
            )


def written(result: StepResult, path: str) -> dict[str, Any]:
    """Write the manifest of a step's output to a path, and return the metadata of that artifact."""
    write(path, result.manifest.to_json().encode())
    return result.metadata
