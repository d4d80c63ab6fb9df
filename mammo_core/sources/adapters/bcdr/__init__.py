"""BCDR: the Breast Cancer Digital Repository of Porto, its film and digital sets.

Guevara Lopez et al., 2012: tables `bcdr_<set>_img.csv` and `bcdr_<set>_outlines.csv`.
"""

from mammo_core.sources.published.published import register_published

register_published(
    "bcdr",
    "mammo_core.sources.adapters.bcdr.index:read_bcdr",
    license="BCDR: by agreement",
)
