"""RSNA 2023: the screening mammography challenge of the Radiological Society of North America.

Chen et al., Radiology: Artificial Intelligence 2025; the columns are those of its data page.
"""

from mammo_core.sources.published.published import register_published

register_published(
    "rsna_2023",
    "mammo_core.sources.adapters.rsna_2023.index:read_rsna_2023",
    license="RSNA Screening Mammography Breast Cancer Detection: by the rules of the challenge",
)
