"""An adapter of another package: this module is all that it takes.

A package names its module in the entry point group `mammo.adapters`; importing the module does
the same.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict

from mammo_core.sources import Adapter, SourceConfig, register_adapter
from mammo_core.sources.identity.cases import ImageCase
from mammo_core.sources.identity.names import ImageName


class PairsOptions(BaseModel):
    """The key `source.pairs` of a recipe.

    Attributes:
        malignant: The label in the names of malignant images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    malignant: str = "m"


def read_pair_name(file_name: str) -> ImageName | None:
    """Return patient and view of a file <patient>-<L|R>-<label>.png, or None."""
    parts = file_name.removesuffix(".png").split("-")
    if len(parts) != 3 or not file_name.endswith(".png"):
        return None
    return ImageName(parts[0], "LEFT" if parts[1] == "L" else "RIGHT", "MLO")


def index_pairs(config: SourceConfig, files: Any, progress: Any, workers: int | None) -> Any:
    """Return the tables of a folder of such files."""
    # Recipes are validated without pandas and OpenCV: they are imported here.
    from mammo_core.sources.assemble import assemble
    from mammo_core.sources.tables.source_tables import Rejects

    options = config.options(PairsOptions)
    cases = []
    for path in files.names():
        name = read_pair_name(path)
        if name is not None:
            malignant = int(path.removesuffix(".png").endswith(options.malignant))
            cases.append(
                ImageCase(path, (path,), name.patient, name.laterality, name.view, malignant)
            )
    facts = {"pairs": len(cases)}
    return assemble(
        files, "pairs", cases, Rejects(), facts=facts, progress=progress, workers=workers
    )


PAIRS = register_adapter(
    Adapter(
        name="pairs",
        index=index_pairs,
        options=PairsOptions,
        license="Pairs: CC0",
        read_file_name=read_pair_name,
        pseudonyms=r"pair\d+",
        fact_lines=lambda facts: [f"{facts['pairs']} pairs"],
    )
)
