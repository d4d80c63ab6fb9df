"""What trackers learn: nothing of patients or files, and of errors their class alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from mammo_core.datasets import Manifest

#: Writes a file of lineage into the record of the run: its name, and its bytes.
WriteRecord = Callable[[str, bytes], None]


@dataclass(frozen=True)
class TrackedRun:
    """A run of a pipeline.

    Attributes:
        id: Its id.
        store: URI of the store with its record.
        recipe: Name of the recipe; empty where it is not known.
        parameters: The resolved recipe, as JSON values.
        write: Writes into its record.
    """

    id: str
    store: str
    write: WriteRecord
    recipe: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunEnd:
    """The end of a run.

    Attributes:
        run: The run.
        state: `succeeded`, `failed` or `terminated`.
        numbers: The numbers of its summary.
        ended: When it ended (seconds since 1970).
    """

    run: TrackedRun
    state: str
    numbers: Mapping[str, float]
    ended: float


@dataclass(frozen=True)
class StepStart:
    """The start of a step.

    Attributes:
        run: The run.
        step: Name of the step, with its partition or ensemble member.
        attempt: Id of the attempt, 32 hexadecimal digits.
        inputs: What goes in.
        started: When it started (seconds since 1970).
    """

    run: TrackedRun
    step: str
    attempt: str
    inputs: tuple[Manifest, ...]
    started: float


@dataclass(frozen=True)
class StepEnd:
    """The end of a step.

    Attributes:
        start: Its start.
        state: How it ended.
        output: What came out; None if it failed, or did a partition of its work.
        reused: Whether an earlier run had published the output.
        facts: What the status of the step shows.
        history: A row of numbers for each epoch of a training; empty for other steps.
        error: The class of its error; the text may name a file.
        ended: When it ended (seconds since 1970).
    """

    start: StepStart
    state: Literal["succeeded", "failed"]
    output: Manifest | None
    reused: bool
    facts: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]
    error: str
    ended: float


class Tracker(Protocol):
    """Learns what happens; an exception of it is printed and stops nothing."""

    def run_started(self, run: TrackedRun) -> None:
        """Report the start of a run."""

    def run_ended(self, end: RunEnd) -> None:
        """Report the end of a run."""

    def step_started(self, start: StepStart) -> None:
        """Report the start of a step."""

    def step_ended(self, end: StepEnd) -> None:
        """Report the end of a step."""


def numbers_of(facts: Mapping[str, Any]) -> dict[str, float]:
    """Return the finite numbers of facts, and both ends of intervals (`auc_ci95_low`)."""
    numbers: dict[str, float] = {}
    for name, value in facts.items():
        is_pair = isinstance(value, list | tuple) and len(value) == 2
        parts = {f"{name}_low": value[0], f"{name}_high": value[1]} if is_pair else {name: value}
        for key, number in parts.items():
            if isinstance(number, int | float) and abs(number) < float("inf"):
                numbers[key] = float(number)
    return numbers
