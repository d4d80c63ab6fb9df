"""Reading a change-control plan from a file or a store."""

from pathlib import Path
from typing import Any

from mammo_core.documents import MAXIMUM_YAML_BYTES, DocumentError, parse_yaml, read_bounded
from mammo_core.errors import RecipeError
from mammo_core.store import open_store


def read_plan(reference: str) -> dict[str, Any]:
    """Return the content of a change-control plan.

    Args:
        reference: A file, or a URI in a store.

    Raises:
        RecipeError: It is missing, or not a YAML mapping.
        StoreError: The store fails.
    """
    try:
        values = parse_yaml(_read(reference))
    except (OSError, DocumentError, UnicodeDecodeError) as error:
        received = error.strerror if isinstance(error, OSError) else str(error)
        raise _unusable_error(reference, received or type(error).__name__) from error
    if not isinstance(values, dict):
        raise _unusable_error(reference, type(values).__name__)
    return values


def _read(reference: str) -> str:
    if "://" in reference:
        root, _, name = reference.rpartition("/")
        return open_store(root).read(name, MAXIMUM_YAML_BYTES).decode()
    return read_bounded(Path(reference), MAXIMUM_YAML_BYTES).decode()


def _unusable_error(reference: str, received: str) -> RecipeError:
    return RecipeError(
        f"The change-control plan {reference} cannot be used",
        expected="a file or a URI with a YAML mapping (docs/change-control.md)",
        received=received,
        hint="a step on a cluster reads no file of yours: `--recipe FILE` submits the recipe with "
        "its plan",
    )
