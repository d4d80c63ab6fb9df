"""The exceptions of the library, one small tree.

MammoError
├── RecipeError   a recipe, flag or argument that cannot be used (exit code 2)
├── SourceError   case tables and image trees
├── DicomError    one image file that cannot be read as a mammogram
├── RecordError   datasets: manifests, shards, frames
├── ModelError    networks, training, model packages
└── StoreError    the object store

Input faults that belong to one file or row are raised as one of these, caught by the
step that reads many of them, and written to its rejects table.
"""

from typing import Any, ClassVar


class MammoError(Exception):
    """A fault told in three parts: what is wrong, what was expected, what was received.

    Args:
        problem: What is wrong, with the file, row or UID it concerns.
        expected: What would have been right.
        received: What was there instead.
        hint: What to do about it, where we know.
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
            parts.append(self.hint)
        return ". ".join(part.rstrip(".") for part in parts) + "."

    def __reduce__(self) -> tuple[Any, ...]:
        # Beam and process pools pickle exceptions; keyword-only arguments need help.
        return (_rebuild, (type(self), self.problem, self.expected, self.received, self.hint))


def _rebuild(
    kind: type[MammoError], problem: str, expected: str, received: str, hint: str | None
) -> MammoError:
    return kind(problem, expected=expected, received=received, hint=hint)


class RecipeError(MammoError):
    """A recipe, flag or argument that cannot be used."""

    exit_code = 2


class SourceError(MammoError):
    """A case table or image tree that cannot be used."""


class DicomError(MammoError):
    """One image file that cannot be read, or is not a mammogram."""


class RecordError(MammoError):
    """A manifest, shard or frame that is missing, damaged or does not fit."""


class ModelError(MammoError):
    """A network, training run or model package that cannot be used."""


class StoreError(MammoError):
    """The object store cannot be reached, read or written."""
