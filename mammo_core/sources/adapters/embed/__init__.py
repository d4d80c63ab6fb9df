"""EMBED: the Emory Breast Imaging Dataset, its open release.

Jeong et al., Radiology: Artificial Intelligence 2023 (DOI 10.1148/ryai.220047); columns as in the
README and the legend of github.com/Emory-HITI/EMBED_Open_Data.
"""

from typing import Literal, Self

from pydantic import ConfigDict, model_validator

from mammo_core.sources.published.birads import BiRadsLabels
from mammo_core.sources.published.published import register_published

#: `path_severity`: 0 invasive cancer, 1 other cancer of the breast, 2 high-risk lesion,
#: 3 borderline lesion, 4 benign, 5 normal tissue, 6 cancer of another organ.
Severity = Literal["0", "1", "2", "3", "4", "5", "6"]


class EmbedOptions(BiRadsLabels):
    """How EMBED becomes labels: by pathology, and else by BI-RADS.

    Args:
        malignant_severity: Values of `path_severity` that make a breast malignant.
        benign_severity: Values that make it benign; the others make no label.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    malignant_severity: tuple[Severity, ...] = ("0", "1")
    benign_severity: tuple[Severity, ...] = ("2", "3", "4", "5")

    @model_validator(mode="after")
    def _require_one_meaning_of_severities(self) -> Self:
        if set(self.malignant_severity) & set(self.benign_severity):
            raise ValueError("a path_severity is malignant or benign, and only one of these")
        return self


register_published(
    "embed",
    "mammo_core.sources.adapters.embed.index:read_embed",
    options=EmbedOptions,
    license="EMBED: by agreement",
)
