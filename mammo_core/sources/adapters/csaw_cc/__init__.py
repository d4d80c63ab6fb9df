"""CSAW-CC: the case-control part of the Cohort of Screen-Aged Women of Stockholm.

Dembrower, Lindholm, Strand, Journal of Digital Imaging 2020 (DOI 10.1007/s10278-019-00278-0).
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from mammo_core.sources.published.published import register_published

#: `rad_timing` of an exam of a woman with a cancer: 1 found it (less than 60 days before the
#: diagnosis), 2 was before an interval cancer (60 to 729 days), 3 earlier.
Timing = Literal["1", "2", "3"]


class CsawCcOptions(BaseModel):
    """How CSAW-CC becomes labels.

    Args:
        malignant_timing: Values of `rad_timing` that make the breast with the cancer malignant.
            At the others it has no label: nobody says whether the cancer was there to be seen.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    malignant_timing: tuple[Timing, ...] = ("1",)


register_published(
    "csaw_cc",
    "mammo_core.sources.adapters.csaw_cc.index:read_csaw_cc",
    options=CsawCcOptions,
    license="CSAW-CC: by agreement",
)
