"""Whom a run reports to."""

from typing import Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

#: The value of `lineage` that writes events into the record of the run.
RECORD: Final = "record"


class TrackingConfig(BaseModel):
    """Whom a run reports to; never part of the id of an output.

    Credentials are never in a recipe: trackers read them from the environment.

    Attributes:
        lineage: Where OpenLineage events go: `record` (the record of the run in the store), a file
            of this machine, or the address of a server; empty: what the variables of OpenLineage
            in the environment say, or nowhere.
        mlflow: Address of an MLflow server; empty: MLFLOW_TRACKING_URI, or none.
        experiment: The experiment of MLflow, where the environment names none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    lineage: str = ""
    mlflow: str = Field(default="", pattern=r"^$|^https?://[^\s]+$")
    experiment: str = Field(default="mammo", min_length=1, max_length=200)

    @field_validator("lineage", "mlflow")
    @classmethod
    def _no_credentials(cls, value: str) -> str:
        if "://" in value:
            parts = urlsplit(value)
            if parts.username or parts.password or parts.query:
                raise ValueError("an address without user, password or query: they would be stored")
            if parts.scheme not in ("http", "https"):
                raise ValueError("http:// or https://, a path, or record")
        return value
