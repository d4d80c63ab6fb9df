"""The model as second reader, simulated from decisions that readers made.

In double reading, two readers read each exam and a third decides where they disagree. The model
takes the place of the second one.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mammo_core.evaluation.predictions import widen_extreme
from mammo_core.evaluation.readers.table import read_table_of_readers, require_binary_column
from mammo_core.metrics import Interval
from mammo_core.metrics.bootstrap import patient_draws, percentile_interval
from mammo_core.metrics.weighted import ratio

COLUMNS = ("case_id", "label", "first", "second", "third", "probability")
Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Reading:
    """What a way of reading does. Intervals are 95 %, by patient.

    Attributes:
        name: The way.
        sensitivity: Share of the exams with cancer that are recalled.
        specificity: Share of the exams without cancer that are not.
        recall_rate: Share of all exams that are recalled.
        arbitrations: Share of all exams that the third reader must read.
        reads: Readings by people for each exam.
    """

    name: str
    sensitivity: Interval
    specificity: Interval
    recall_rate: Interval
    arbitrations: Interval
    reads: Interval


@dataclass(frozen=True)
class SecondReader:
    """Double reading by people, and with the model as second reader.

    Attributes:
        n_exams: Number of exams.
        n_malignant: Number of them with a cancer.
        threshold: Probability from which the model recalls.
        readings: By people, and with the model.
        differences: Name of a measure → with the model minus by people.
    """

    n_exams: int
    n_malignant: int
    threshold: float
    readings: tuple[Reading, ...]
    differences: dict[str, Interval]


def second_reader(
    uri: str, threshold: float, replicates: int = 2000, seed: int = 0
) -> SecondReader:
    """Simulate the model as second reader.

    Where the first reader and the model disagree, the third reader's decision counts. It must be
    known for every exam: what she would decide if she had to.

    Args:
        uri: A CSV file with case_id, label (0 or 1), first, second and third (1: recall), and the
            model's probability; patient_id, if exams of a patient are several.
        threshold: Probability from which the model recalls; chosen on other patients.
        replicates: Bootstrap replicates.
        seed: Seed of the draws.

    Raises:
        SourceError: The file cannot be read.
        RecordError: A column is missing, a cell is wrong, or a class is missing.
    """
    table = read_table_of_readers(uri, COLUMNS, COLUMNS[1:])
    for column in COLUMNS[1:5]:
        require_binary_column(table, column)
    table = table.sort_values(["patient_id", "case_id"])
    model = (table["probability"] >= threshold).to_numpy()
    first, second, third = (table[name].eq(1).to_numpy() for name in ("first", "second", "third"))
    malignant = table["label"].eq(1).to_numpy()
    ways = {
        "two readers": _decide(first, second, third),
        "reader and model": _decide(first, model, third),
    }
    people = {"two readers": 2.0, "reader and model": 1.0}
    patient_of, draws = patient_draws(len(table), table["patient_id"], replicates, seed)
    weights = [times[:, patient_of] for times in draws]
    once = [np.ones((1, len(table)))]
    values = {name: _measures(*way, malignant, people[name], once) for name, way in ways.items()}
    drawn = {name: _measures(*way, malignant, people[name], weights) for name, way in ways.items()}
    keys = table["patient_id"]
    patients = {
        "sensitivity": keys[malignant].nunique(),
        "specificity": keys[~malignant].nunique(),
    }
    readings = tuple(
        Reading(
            name,
            **{
                key: widen_extreme(
                    percentile_interval(float(values[name][key][0]), drawn[name][key]),
                    patients.get(key, 0),
                )
                for key in drawn[name]
            },
        )
        for name in ways
    )
    by_people, with_model = ways
    return SecondReader(
        n_exams=len(table),
        n_malignant=int(malignant.sum()),
        threshold=threshold,
        readings=readings,
        differences={
            key: percentile_interval(
                float((values[with_model][key] - values[by_people][key])[0]),
                drawn[with_model][key] - drawn[by_people][key],
            )
            for key in drawn[by_people]
        },
    )


def _decide(first: Flags, second: Flags, third: Flags) -> tuple[Flags, Flags]:
    """The decision, and whether the third reader was needed."""
    disagree = first != second
    return np.where(disagree, third, first), disagree


def _measures(
    recalled: Flags, arbitrated: Flags, malignant: Flags, people: float, weights: list[Array]
) -> dict[str, Array]:
    def share(counted: Flags, among: Flags) -> Array:
        return np.concatenate([ratio(w @ (counted & among), w @ among) for w in weights])

    everyone = np.ones(len(malignant), np.bool_)
    arbitrations = share(arbitrated, everyone)
    return {
        "sensitivity": share(recalled, malignant),
        "specificity": share(~recalled, ~malignant),
        "recall_rate": share(recalled, everyone),
        "arbitrations": arbitrations,
        "reads": people + arbitrations,
    }
