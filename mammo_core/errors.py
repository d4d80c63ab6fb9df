"""The exceptions of the library.

    MammoError               what is wrong, what was expected, what was received
    ├── RecipeError          a recipe, option or argument cannot be used (exit code 2)
    ├── RunError             a run, a step or a process failed, or a run id is taken
    │   └── StepFailedError  a step failed; carries the step's own message
    ├── SourceError          a case table or an image tree cannot be used
    ├── DicomError           one image file cannot be read as a mammogram
    ├── RecordError          a manifest, shard or frame is missing, damaged or does not fit
    ├── ModelError           a network, training or model package cannot be used
    └── StoreError           the object store cannot be reached, read or written

Each exits with code 1 unless noted. Rooms derive narrower errors from these where a caller
needs to tell them apart (`store.DamagedError`, `processes.ProcessError`).

A fault of a single file or row is raised as one of these, caught by the step that reads many of
them, and written to that step's table of rejects.
"""

from typing import Any, ClassVar


class MammoError(Exception):
    """An error in three parts: what is wrong, what was expected, what was received.

    Args:
        problem: What is wrong, with the file, row or UID it concerns.
        expected: What would have been right.
        received: What was there instead.
        hint: The remedy, where it is known.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self, problem: str, *, expected: str, received: str, hint: str | None = None
    ) -> None:
        super().__init__(problem, expected, received, hint)
        self.problem = problem
        self.expected = expected
        self.received = received
        self.hint = hint

    def __str__(self) -> str:
        parts = [self.problem, f"Expected {self.expected}", f"Received {self.received}"]
        if self.hint:
            parts.append(f"Hint: {self.hint}")
        return ". ".join(part.rstrip(".") for part in parts) + "."

    def __reduce__(self) -> tuple[Any, ...]:
        # Beam and process pools pickle exceptions; keyword-only arguments need help.
        return (_rebuild, (type(self), self.problem, self.expected, self.received, self.hint))


def _rebuild(
    error_class: type[MammoError], problem: str, expected: str, received: str, hint: str | None
) -> MammoError:
    return error_class(problem, expected=expected, received=received, hint=hint)


class RecipeError(MammoError):
    """A recipe, option or argument cannot be used."""

    exit_code = 2


class RunError(MammoError):
    """A run, a step or a process failed, or a run id is taken."""


class StepFailedError(RunError):
    """A step failed with a message that has its three parts already.

    Args:
        step: The name of the step.
        message: The text of the error that the step ended with.
    """

    def __init__(self, step: str, message: str) -> None:
        super().__init__(f"Step {step} failed", expected="the step to succeed", received=message)
        self.step = step

    def __str__(self) -> str:
        return f"step {self.step}: {self.received}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.step, self.received))


class SourceError(MammoError):
    """A case table or an image tree cannot be used."""


class DicomError(MammoError):
    """One image file cannot be read, or is not a mammogram."""


class RecordError(MammoError):
    """A manifest, shard or frame is missing, damaged or does not fit."""


class ModelError(MammoError):
    """A network, training or model package cannot be used."""


class StoreError(MammoError):
    """The object store cannot be reached, read or written."""
