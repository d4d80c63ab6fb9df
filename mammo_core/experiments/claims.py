"""Claims: measured numbers of the docs, each with what recomputes it (`mammo reproduce`)."""

import csv
import hashlib
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mammo_core.documents import DocumentError, parse_json, parse_yaml
from mammo_core.errors import RecordError

if TYPE_CHECKING:
    import pandas as pd

    from mammo_core.datasets import Manifest
    from mammo_core.store import Store

#: The claims of the project.
CLAIMS: Final = Path(__file__).parent.parent.parent / "claims"
#: Recomputing on another processor may change the last digits of a sum, and nothing else.
_EXACT: Final = 1e-9
_LARGEST_FILE: Final = 100_000
_COLUMNS: Final = (
    "image_id", "patient_key", "exam_key", "view_id", "laterality", "view", "view_class", "label",
    "probability",
)  # fmt: skip


class Measure(BaseModel):
    """A number of a claim.

    Attributes:
        value: The number, unrounded where predictions are stored.
        tolerance: How far a repeated training may be from it, to both sides; null: it is not
            compared then (the ends of an interval move with the draw of patients).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    value: float
    tolerance: float | None = Field(default=None, ge=0)


class Claim(BaseModel):
    """Numbers of the docs, and what recomputes them.

    Attributes:
        name: Name of the claim, that of its file.
        about: What was measured, in a sentence.
        docs: The pages that state its numbers.
        command: The commands that measure it again, with training.
        ids: Kind → content address of the outputs that it was measured on.
        seed: Seed of the intervals.
        predictions: File of stored predictions beside the claim; empty: only retraining can check
            the claim.
        sha256: Digest of the rows of that file.
        measures: Name → number. With predictions: `auc`, `auc_low`, `auc_high` (per image),
            `breast_auc`, `patient_auc`, `images`, `patients`; after retraining also
            `patch_accuracy`. Of an experiment: `TRIAL`, `ARM`, `ARM.low`, `ARM.high`, and
            `difference` and comparisons likewise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    about: str
    docs: tuple[str, ...] = Field(min_length=1)
    command: str
    ids: dict[str, str] = {}
    seed: int = 0
    predictions: str = Field(default="", pattern=r"^([a-z0-9][a-z0-9_-]*[.]csv)?$")
    sha256: str = ""
    measures: dict[str, Measure] = Field(min_length=1)

    @model_validator(mode="after")
    def _require_digest(self) -> Self:
        if bool(self.predictions) != bool(self.sha256):
            raise ValueError("predictions and sha256 go together")
        return self


@dataclass(frozen=True)
class Comparison:
    """A number of a claim, and what was computed.

    Attributes:
        measure: Name of the number.
        stated: As claimed.
        computed: As computed now; NaN where it is missing.
        tolerance: The largest difference; None: it is not compared.
    """

    measure: str
    stated: float
    computed: float
    tolerance: float | None

    @property
    def holds(self) -> bool:
        """Whether the number is within the tolerance."""
        return self.tolerance is None or abs(self.computed - self.stated) <= self.tolerance


def read_claim(reference: str) -> tuple[Claim, Path]:
    """Read a claim, and return it with its folder.

    Args:
        reference: A file, or the name of a claim of the project (`phantom`).

    Raises:
        RecordError: There is no such claim, or its file is not valid.
    """
    path = next((p for p in (Path(reference), CLAIMS / f"{reference}.yaml") if p.is_file()), None)
    if path is None:
        names = sorted(file.stem for file in CLAIMS.glob("*.yaml"))
        raise RecordError(
            f"There is no claim {reference}",
            expected=f"a file, or one of {', '.join(names) or 'none'}",
            received=reference,
        )
    try:
        return Claim.model_validate(parse_yaml(path.read_text())), path.parent
    except DocumentError as error:
        raise RecordError(
            f"The claim {path.name} cannot be parsed", expected="YAML", received=error.received
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "its keys"
        raise RecordError(
            f"The claim {path.name} is not valid",
            expected="the keys of a claim (docs/verification.md)",
            received=f"{where}: {first['msg']}",
        ) from error


def recompute(claim: Claim, folder: Path) -> list[Comparison]:
    """Recompute a claim from its stored predictions; every number must be the same.

    Args:
        claim: The claim.
        folder: The folder of its file.

    Raises:
        RecordError: It has no predictions, or they are not those that it was made from.
    """
    if not claim.predictions:
        raise RecordError(
            f"The claim {claim.name} has no stored predictions",
            expected="--result FILE or --store URI of a repeated training",
            received="neither",
            hint=f"measure it again: {claim.command}",
        )
    path = folder / claim.predictions
    if not path.is_file():
        raise RecordError(
            f"The predictions of the claim {claim.name} are missing",
            expected=f"the file {claim.predictions} beside it",
            received="none",
        )
    table = predictions_from_csv(path.read_text())
    digest = predictions_digest(table)
    if digest != claim.sha256:
        raise RecordError(
            f"The predictions of the claim {claim.name} are not those that it was made from",
            expected=f"rows with the digest {claim.sha256}",
            received=digest,
            hint="restore the file, or state a new claim with the numbers of the new predictions",
        )
    return compare_measures(claim, measure_predictions(table, claim.seed), exact=True)


def compare_measures(
    claim: Claim, computed: Mapping[str, float], *, exact: bool
) -> list[Comparison]:
    """Compare the numbers of a claim with computed ones.

    Args:
        claim: The claim.
        computed: Name → number.
        exact: Whether they come from the same predictions; else the claim's tolerances count.
    """
    return [
        Comparison(
            name,
            measure.value,
            float(computed.get(name, math.nan)),
            _EXACT if exact else measure.tolerance,
        )
        for name, measure in claim.measures.items()
    ]


def measure_predictions(table: "pd.DataFrame", seed: int) -> dict[str, float]:
    """Return the numbers that a claim can state of predictions.

    Args:
        table: Predictions of a test set, as in `evaluation.evaluate`.
        seed: Seed of the interval.
    """
    from mammo_core.evaluation import at_level, validate_predictions
    from mammo_core.evaluation.config import EvaluationConfig
    from mammo_core.metrics import auc, auc_interval

    table = validate_predictions(table, "stored")
    config = EvaluationConfig()
    columns = table["label"], table["probability"], table["patient_key"]
    interval = auc_interval(*columns, config.bootstrap_replicates, seed)
    values = {
        "auc": interval.value,
        "auc_low": interval.low,
        "auc_high": interval.high,
        "images": len(table),
        "patients": table["patient_key"].nunique(),
    }
    for level in ("breast", "patient"):
        rows = at_level(table, level, config.aggregation)
        values[f"{level}_auc"] = auc(rows["label"], rows["probability"])
    return {name: float(value) for name, value in values.items()}


def measure_evaluation(store: "Store", id: str, seed: int) -> dict[str, float]:
    """Return the numbers of an evaluation in a store.

    Args:
        store: The store.
        id: The evaluation; empty: the only one.
        seed: Seed of the interval.

    Raises:
        RecordError: There is no such evaluation, or more than one and none is named.
    """
    from mammo_core.datasets.tables import read_table
    from mammo_core.evaluation.kinds import EVALUATION

    evaluation = _evaluation(store, id)
    values = measure_predictions(read_table(store, evaluation, "test.parquet"), seed)
    return {**values, "patch_accuracy": EVALUATION.facts_of(evaluation).summary.patch_accuracy}


def _evaluation(store: "Store", id: str) -> "Manifest":
    from mammo_core.evaluation.kinds import EVALUATION

    keys = store.list(f"{EVALUATION.folder}/")
    ids = sorted({key.split("/")[1] for key in keys if key.endswith("/manifest.json")})
    if id or len(ids) == 1:
        return EVALUATION.read(store, id or ids[0])
    raise RecordError(
        f"It is not clear which evaluation of {store.uri} repeats the claim",
        expected="--evaluation ID",
        received=f"{len(ids)} evaluations: {', '.join(ids[:5])}",
    )


def measure_result(data: bytes) -> dict[str, float]:
    """Return the numbers of an experiment: those of its arms, and of its difference.

    Args:
        data: Its `result.json`.

    Raises:
        RecordError: It is not the result of an experiment.
    """
    try:
        result = parse_json(data)
        values: dict[str, float] = {}
        for row in result["summary"]:
            values |= _with_ends(str(row["arm"]), row["auc"], row["low"], row["high"])
            added = [row.get(name) for name in ("adds", "adds_low", "adds_high")]
            values |= _with_ends(f"{row['arm']} adds", *added) if None not in added else {}
        values |= {str(row["trial"]): float(row["auc"]) for row in result["rows"]}
        one = {"name": "difference", **(result.get("difference") or {})}
        for row in [*result.get("comparisons", ()), *([one] if "value" in one else [])]:
            values |= _with_ends(str(row["name"]), row["value"], row["low"], row["high"])
    except (DocumentError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(
            "The result of the experiment cannot be read",
            expected="its result.json",
            received=f"{type(error).__name__}",
        ) from error
    return values


def _with_ends(name: str, value: Any, low: Any, high: Any) -> dict[str, float]:
    return {name: float(value), f"{name}.low": float(low), f"{name}.high": float(high)}


def predictions_to_csv(table: "pd.DataFrame") -> str:
    """Return predictions as CSV, every number as it is.

    Args:
        table: Predictions of a test set, as in `evaluation.evaluate`.
    """
    from mammo_core.csv_cells import escape_cell

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in table.sort_values("image_id")[list(_COLUMNS)].itertuples(index=False):
        writer.writerow([escape_cell(cell) for cell in row])
    return out.getvalue()


def predictions_from_csv(text: str) -> "pd.DataFrame":
    """Read what `predictions_to_csv` wrote.

    Args:
        text: The CSV.

    Raises:
        RecordError: It is too large, or a row cannot be read.
    """
    import pandas as pd

    if len(text) > _LARGEST_FILE:
        raise RecordError(
            "The stored predictions are too large",
            expected=f"at most {_LARGEST_FILE} characters",
            received=f"{len(text)}",
        )
    reader = csv.DictReader(io.StringIO(text))
    rows = []
    for number, row in enumerate(reader, 2):
        try:
            numbers = {"label": int(row["label"]), "probability": float(row["probability"])}
        except (KeyError, TypeError, ValueError) as error:
            raise RecordError(
                f"Row {number} of the stored predictions cannot be read",
                expected=f"the columns {', '.join(_COLUMNS)}",
                received=str(error),
            ) from error
        rows.append({**row, **numbers})
    return pd.DataFrame(rows, columns=pd.Index(_COLUMNS))


def predictions_digest(table: "pd.DataFrame") -> str:
    """Return the SHA-256 of the rows of predictions, whatever their order.

    Args:
        table: From `predictions_from_csv`.
    """
    rows = sorted(json.dumps([*map(str, row)]) for row in table.itertuples(index=False))
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()
