"""CMMD: the Chinese Mammography Database, with a pathology result for each breast of its table.

Cui et al., The Cancer Imaging Archive 2021 (DOI 10.7937/tcia.eqde-4b16).
"""

from mammo_core.sources.published.published import register_published

register_published(
    "cmmd",
    "mammo_core.sources.adapters.cmmd.index:read_cmmd",
    license="CC BY 4.0",
    pseudonyms=r"D[12]-\d{4}",
)
