"""MIAS: the Mammographic Image Analysis Society's database, in its small version.

Suckling et al., Excerpta Medica International Congress Series 1069 (1994).
"""

from mammo_core.sources.published.published import register_published

register_published(
    "mias",
    "mammo_core.sources.adapters.mias.index:read_mias",
    license="MIAS: research only",
    pseudonyms=r"mdb\d{3}-\d{3}",
)
