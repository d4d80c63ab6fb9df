"""One network of an ensemble: what it changes in a recipe."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class MemberConfig(BaseModel):
    """One network of an ensemble: how it differs from the recipe.

    Attributes:
        name: Name of the member.
        weight: Weight of its probabilities in the mean.
        patch_training: Keys of `patch_training` that differ.
        image_training: Keys of `image_training` that differ.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    weight: float = Field(default=1.0, gt=0)
    patch_training: dict[str, Any] = {}
    image_training: dict[str, Any] = {}

    def changed(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values of a recipe with those of this network.

        Args:
            values: The recipe.
        """
        changes = {key: getattr(self, key) for key in ("patch_training", "image_training")}
        return _merge(values, changes)


def _merge(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged
