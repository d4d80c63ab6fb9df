"""VinDr-Mammo: breast-level annotations, findings with boxes, and the official split.

Nguyen et al., Scientific Data 2023 (DOI 10.1038/s41597-023-02100-7); PhysioNet 1.0.0.
"""

from mammo_core.sources.published.birads import BiRadsLabels
from mammo_core.sources.published.published import register_published

register_published(
    "vindr_mammo",
    "mammo_core.sources.adapters.vindr_mammo.index:read_vindr_mammo",
    options=BiRadsLabels,
    license="PhysioNet Restricted Health Data License 1.5.0",
)
