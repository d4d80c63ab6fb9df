"""The kind of output that `index` publishes."""

from typing import Any

from pydantic import Field

from mammo_core.datasets.kinds import Facts, Kind, register_kind


class TableFacts(Facts):
    """Facts of the tables of a source.

    Attributes:
        leaking_patients: Patients in both the official training and test tables, sorted.
        source: What the adapter counted; `site_key` is the fingerprint of the site key.
    """

    leaking_patients: tuple[str, ...] = ()
    source: dict[str, Any] = Field(default_factory=dict)


TABLES = register_kind(Kind("tables", 8, TableFacts, intermediate=True))
