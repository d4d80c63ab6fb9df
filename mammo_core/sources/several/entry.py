"""One of several sources of a run: what is read, how much it counts, and what it is for."""

from collections.abc import Sequence
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from mammo_core.sources.auditing.policy import ImagePolicy
from mammo_core.sources.config import SourceConfig
from mammo_core.sources.identity.label_windows import LabelsConfig
from mammo_core.sources.several.names import EXTERNAL, NAME_PATTERN

Role = Literal["training", "external"]
#: How training draws from several sources.
Mixing = Literal["classes", "sources", "none"]
TRAINING: Final = "training"


class SourceEntry(SourceConfig):
    """A source among several: the keys of `source`, and these.

    Args:
        name: Its name in this run: ids of patients begin with it.
        role: `training`: its patients are divided into training, validation and test; `external`:
            all are held out, and the model is evaluated on them apart.
        weight: Its share of the training records is this, divided by the sum of the weights.
        images: What is done with images that are not plain mammograms; default: the recipe's.
        labels: How images get their labels; default: the recipe's.
    """

    name: str = Field(pattern=rf"^{NAME_PATTERN}$")
    role: Role = TRAINING
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    images: ImagePolicy | None = None
    labels: LabelsConfig | None = None

    def config(self) -> SourceConfig:
        """Return the source as that of a run with one: the same tables are made of it."""
        return SourceConfig.model_validate(self.model_dump(exclude=set(ADDED_KEYS)))

    @model_validator(mode="after")
    def _require_used_weight(self) -> Self:
        if self.role == EXTERNAL and self.weight != 1:
            raise ValueError(
                f"the weight of {self.name} has no effect, because no training sees an external "
                f"source; received {self.weight:g}"
            )
        return self


#: The keys that an entry has, and `source` has not.
ADDED_KEYS: Final = SourceEntry.model_fields.keys() - SourceConfig.model_fields.keys()


def require_valid_sources(
    source: SourceConfig | None,
    sources: Sequence[SourceEntry],
    mixing: Mixing,
    images: ImagePolicy,
) -> None:
    """Refuse sources of a recipe that do not fit together.

    Args:
        source: Its only source; None where it has several.
        sources: Its sources, where it has several.
        mixing: How training draws from them.
        images: Its policy of images.

    Raises:
        ValueError: They do not fit together.
    """
    if (source is None) != bool(sources):
        received = "both" if sources else "neither"
        raise ValueError(f"a recipe has either source or sources; received {received}")
    if not sources:
        if mixing != "classes":
            raise ValueError(f"mixing {mixing} has no effect with one source")
        return
    names = [entry.name for entry in sources]
    if len(set(names)) < len(names):
        raise ValueError(f"sources need distinct names; received {', '.join(names)}")
    if len({entry.image_id for entry in sources}) > 1:
        raise ValueError("image_id must be the same for all sources")
    training = training_sources(sources)
    if not training:
        raise ValueError("one of the sources needs the role training; received external for all")
    if mixing == "none" and len({entry.weight for entry in training}) > 1:
        raise ValueError("weights of sources have no effect with mixing none")
    for entry in sources:
        # Pixels of all sources are converted by one configuration.
        for key in ("plausibility", "for_processing"):
            if entry.images is not None and getattr(entry.images, key) != getattr(images, key):
                raise ValueError(
                    f"images.{key} of the source {entry.name} differs from that of the recipe, "
                    "which counts for all sources"
                )


def training_sources(sources: Sequence[SourceEntry]) -> list[SourceEntry]:
    """Return the sources that training sees.

    Args:
        sources: The sources of a recipe.
    """
    return [entry for entry in sources if entry.role == TRAINING]
