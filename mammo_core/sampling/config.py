"""Settings of the sampler: number of patches of each kind, and overlap limits."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: The samplings of the paper (S1, S10, S30 at 1152x896), and the defaults of the original (height
#: 4096). `GEOMETRIES` has the image sizes they are meant for.
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

#: Preset → size of the image records it is meant for, as in `convert.geometry`.
GEOMETRIES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        **{name: {"height": 1152, "width": 896} for name in ("S1", "S10", "S30")},
        # The width depends on the image; this upper bound is for code that needs a size before.
        "first-generation": {"height": 4096, "width": 3328, "resize": "height"},
    }
)


class SamplingConfig(BaseModel):
    """Settings of the sampler; a preset has the defaults, and each can be overridden.

    Attributes:
        preset: Name in PRESETS; provides the settings that are not given.
        patch_size: Side of a patch (pixels of the image record).
        lesion_patches: Patches per lesion; 1 means one at its centroid, without overlap test.
        background_patches: Patches without lesion per image, hard negatives included.
        hard_negatives: At most this many of them are at bright blobs.
        near_lesion: Patches per lesion that are near it, with little overlap.
        lesion_overlap: A lesion patch overlaps its lesion by more than this fraction of the
            lesion's area or of the patch's, (0, 1).
        background_overlap: A patch without lesion overlaps each lesion of the image, and all of
            them together, by at most this fraction of either area, [0, 1).
        breast_share: Minimum fraction of a background patch, or a patch at a blob, that is
            breast, [0, 1].
        compatible: Sample like the original, bugs included (`sampling.compatible`), to compare
            with it. The seed is fixed; `breast_share` and `near_lesion` have no effect.

    Source: Shen et al., Sci Rep 9:12495, 2019, Methods; docs/original-system.md, "Patch sampling".
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
    def _validate_compatible(self) -> "SamplingConfig":
        if self.compatible and self.patch_size % 2:
            raise ValueError(
                f"compatible needs an even patch_size, received {self.patch_size}: the original "
                "cuts patches of an odd side one pixel short"
            )
        return self
