"""How many patches of what kind, and what counts as overlap."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: Sampling of the paper (S1, S10, S30 at 1152x896) and of the original's defaults (height 4096).
#: `GEOMETRIES` has the images they are meant for.
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "S1": {"lesion_patches": 1, "background_patches": 1},
        "S10": {"lesion_patches": 10, "background_patches": 10},
        "S30": {"lesion_patches": 30, "background_patches": 30},
        "first-generation": {
            "patch_size": 256,
            "lesion_patches": 30,
            "background_patches": 30,
            "hard_negatives": 15,
            "lesion_overlap": 0.75,
        },
    }
)

#: Of each preset, the size of the image records it is meant for, as `convert.geometry` has it.
GEOMETRIES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        **{name: {"height": 1152, "width": 896} for name in ("S1", "S10", "S30")},
        # The width follows; this one bounds it for those who need a size beforehand.
        "first-generation": {"height": 4096, "width": 3328, "resize": "height"},
    }
)


class SamplingConfig(BaseModel):
    """Numbers of the sampler; a preset gives defaults, every one can be overridden.

    Attributes:
        preset: Name in PRESETS; the numbers not given are taken from it.
        patch_size: Side of a patch (pixels of the image record).
        lesion_patches: Patches of each lesion; 1 means its centroid, without overlap test.
        background_patches: Patches without lesion of each image, hard negatives included.
        hard_negatives: At most so many of them around bright blobs.
        near_lesion: Patches beside each lesion, without enough of it.
        lesion_overlap: A lesion patch shares more than this with its lesion, as a share of
            the lesion's area or of the patch's, (0, 1).
        background_overlap: A patch without lesion shares at most this with each lesion of the
            image, and with all of them together, by both shares, [0, 1).
        breast_share: At least this share of a patch of background, or around a blob, is
            breast, [0, 1].
        compatible: Choose as the original did, faults included (`sampling.compatible`), to
            compare with it. Its seed is fixed; `breast_share` and `near_lesion` do nothing.

    Source: original-system sampler; Shen et al., Sci Rep 9:12495, Methods.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str = "S10"
    patch_size: int = Field(default=224, ge=8)
    lesion_patches: int = Field(default=10, ge=1)
    background_patches: int = Field(default=10, ge=0)
    hard_negatives: int = Field(default=0, ge=0)
    near_lesion: int = Field(default=0, ge=0)
    lesion_overlap: float = Field(default=0.9, gt=0, lt=1)
    background_overlap: float = Field(default=0.35, ge=0, lt=1)
    breast_share: float = Field(default=0.5, ge=0, le=1)
    compatible: bool = False

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        name = values.get("preset", "S10")
        if name not in PRESETS:
            raise ValueError(f"unknown preset {name!r}: one of {', '.join(PRESETS)}")
        return {**PRESETS[name], **values}

    @model_validator(mode="after")
    def _as_original(self) -> "SamplingConfig":
        if self.compatible and self.patch_size % 2:
            raise ValueError(
                f"compatible needs an even patch_size, received {self.patch_size}: the original "
                "cut patches of an odd side one pixel short"
            )
        return self
