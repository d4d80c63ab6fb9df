"""A study of readers from a table: one row for each case, reader and modality."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecordError
from mammo_core.evaluation.readers.table import read_table_of_readers, require_binary_column
from mammo_core.metrics.reader_study import ReaderStudy, reader_study

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("case_id", "label", "reader", "modality", "score")


@dataclass(frozen=True)
class NamedStudy:
    """A study with the names of its modalities and readers.

    Attributes:
        modalities: Names, in the order of the result.
        readers: Names, in the order of the result.
        n_cases: Number of cases.
        n_malignant: Number of malignant cases.
        result: The analysis.
    """

    modalities: tuple[str, ...]
    readers: tuple[str, ...]
    n_cases: int
    n_malignant: int
    result: ReaderStudy


def study_of_table(uri: str) -> NamedStudy:
    """Analyze a table of readers' scores.

    Args:
        uri: A CSV file with case_id, label (0 or 1), reader, modality and score; patient_id, if
            cases of a patient are several.

    Raises:
        SourceError: The file cannot be read.
        RecordError: A column or a score is missing, a case has two labels or patients, or there
            are fewer than two readers, modalities or cases of a class.
    """
    table = read_table_of_readers(uri, COLUMNS, ("label", "score"))
    require_binary_column(table, "label")
    modalities = sorted(table["modality"].unique())
    readers = sorted(table["reader"].unique())
    cases = table.groupby("case_id").agg(
        label=("label", "first"),
        labels=("label", "nunique"),
        patient=("patient_id", "first"),
        patients=("patient_id", "nunique"),
    )
    if (cases["labels"] > 1).any() or (cases["patients"] > 1).any():
        raise RecordError(
            "Cases of this study contradict themselves",
            expected="one label and one patient for each case",
            received=f"{int((cases['labels'] > 1).sum())} cases with two labels, "
            f"{int((cases['patients'] > 1).sum())} with two patients",
        )
    scores = _scores(table, modalities, readers, cases.index)
    result = reader_study(cases["label"].astype(int), scores, cases["patient"].to_numpy())
    return NamedStudy(
        tuple(modalities), tuple(readers), len(cases), int(cases["label"].sum()), result
    )


def _scores(
    table: "pd.DataFrame", modalities: list[str], readers: list[str], cases: "pd.Index[str]"
) -> npt.NDArray[np.float64]:
    """The scores `(modality, reader, case)`."""
    keys = ["modality", "reader", "case_id"]
    twice = int(table.duplicated(keys).sum())
    whole = len(modalities) * len(readers) * len(cases)
    if twice or len(table) != whole:
        raise RecordError(
            "This study is not complete",
            expected=f"one score for each of {len(modalities)} modalities, {len(readers)} readers "
            f"and {len(cases)} cases: {whole} rows",
            received=f"{len(table)} rows, {twice} of them again",
            hint="Leave out cases that not every reader has read with every modality.",
        )
    ordered = np.asarray(table.sort_values(keys)["score"], dtype=np.float64)
    return ordered.reshape(len(modalities), len(readers), len(cases))
