"""The result of trials on several sources: training source by test source, and what mixing adds.

For each source as the target: *own*, the AUC of the network trained on it; *one*, the mean AUC of
the networks each trained on one other source; *mixed*, that of the network trained on all others.
The drop is own minus one, what mixing recovers is mixed minus one, both averaged over the targets.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecordError
from mammo_core.experiments.plan import Trial
from mammo_core.experiments.results import ExperimentResult
from mammo_core.experiments.source_trials import PLUS
from mammo_core.metrics import Interval, weighted_auc
from mammo_core.metrics.bootstrap import patient_draws, percentile_interval
from mammo_core.metrics.weighted import Weighted, unweighted
from mammo_core.sources.several.names import NAME_COLUMN

if TYPE_CHECKING:
    import pandas as pd

_REPLICATES = 2000
_SHARE = "share recovered"
#: Value and replicates of a number.
Drawn = tuple[float, npt.NDArray[np.float64]]


def summarize_sources(
    trials: Sequence[Trial], predictions: Mapping[str, "pd.DataFrame"], seed: int = 0
) -> ExperimentResult:
    """Combine the scores of all trials.

    Args:
        trials: The plan.
        predictions: Trial name → the table of `source_scores`.
        seed: Seed of the bootstrap.

    Raises:
        RecordError: The scores of a trial are missing, or a source has too few test patients.
    """
    missing = [trial.name for trial in trials if trial.name not in predictions]
    if missing:
        raise RecordError(
            "The experiment is not complete",
            expected=f"the scores of {len(trials)} trials",
            received=f"no scores of {', '.join(missing)}",
        )
    arms = list(dict.fromkeys(trial.arm for trial in trials))
    targets = [arm for arm in arms if PLUS not in arm]
    tests = _tests(trials, predictions, targets)
    drawn: dict[tuple[str, str], Drawn] = {}
    rows: list[dict[str, Any]] = []
    for target in targets:
        for arm in arms:
            mine = [trial for trial in trials if trial.arm == arm]
            tables = [_test_rows(predictions[trial.name], tests[target]) for trial in mine]
            values, draws = _aucs(tables, seed)
            drawn[arm, target] = float(np.mean(values)), np.mean(draws, axis=0)
            rows += [
                {
                    "trial": f"{trial.name} on {target}",
                    "arm": f"{arm} on {target}",
                    "seed": trial.facts["seed"],
                    "auc": value,
                    "test_lesions": len(table),
                    "test_patients": int(table["patient_key"].nunique()),
                    "training_patches": int(table["trained_on"].iloc[0]),
                }
                for trial, value, table in zip(mine, values, tables, strict=True)
            ]
    summary = []
    for (arm, target), number in drawn.items():
        interval = percentile_interval(*number)
        summary.append(
            {
                "arm": f"{arm} on {target}",
                "trained_on": arm,
                "tested_on": target,
                "auc": interval.value,
                "low": interval.low,
                "high": interval.high,
            }
        )
    comparisons = _compare(drawn, targets)
    recovered = comparisons["recovered by mixing"]
    rows_of = [
        {"name": name, "value": each.value, "low": each.low, "high": each.high}
        for name, each in comparisons.items()
    ]
    return ExperimentResult(
        "sources", rows, summary, recovered, _conclusion(comparisons), comparisons=rows_of
    )


def _tests(
    trials: Sequence[Trial], predictions: Mapping[str, "pd.DataFrame"], targets: Sequence[str]
) -> dict[str, frozenset[str]]:
    """The test lesions of each source: those of its test patients wherever it is trained on."""
    tests: dict[str, frozenset[str]] = {}
    for trial in trials:
        table = predictions[trial.name]
        for target in set(trial.facts["sources"]) & set(targets):
            rows = table[(table[NAME_COLUMN] == target) & (table["split"] == "test")]
            lesions = frozenset(rows["image_id"])
            if tests.setdefault(target, lesions) != lesions:
                raise RecordError(
                    f"The trial {trial.name} has other test patients of {target} than the trials "
                    "before",
                    expected=f"the same {len(tests[target])} lesions",
                    received=f"{len(lesions)}",
                )
    return tests


def _test_rows(table: "pd.DataFrame", lesions: frozenset[str]) -> "pd.DataFrame":
    rows: pd.DataFrame = table[table["image_id"].isin(lesions)]
    return rows.sort_values("image_id", ignore_index=True)


def _aucs(
    tables: "Sequence[pd.DataFrame]", seed: int
) -> tuple[list[float], list[npt.NDArray[np.float64]]]:
    """The AUC of each table, and of each draw of patients: the same draws for all."""
    first = tables[0]
    labels = first["label"].to_numpy(np.int64)
    sets = [table["probability"].to_numpy(np.float64) for table in tables]
    patient_of, draws = patient_draws(len(first), first["patient_key"], _REPLICATES, seed)
    values = [float(weighted_auc(unweighted(labels, scores))[0]) for scores in sets]
    parts: list[list[npt.NDArray[np.float64]]] = [[] for _ in sets]
    for times in draws:
        for part, scores in zip(parts, sets, strict=True):
            part.append(weighted_auc(Weighted(labels, scores, times[:, patient_of])))
    return values, [np.concatenate(part) for part in parts]


def _compare(drawn: Mapping[tuple[str, str], Drawn], targets: Sequence[str]) -> dict[str, Interval]:
    def mean(pairs: Sequence[tuple[str, str]]) -> Drawn:
        chosen = [drawn[pair] for pair in pairs]
        return float(np.mean([v for v, _ in chosen])), np.mean([d for _, d in chosen], axis=0)

    mine = mean([(target, target) for target in targets])
    one = mean([(other, target) for target in targets for other in targets if other != target])
    mixed = mean(
        [(PLUS.join(name for name in targets if name != target), target) for target in targets]
    )
    every = mean([(PLUS.join(targets), target) for target in targets])
    drop = mine[0] - one[0], mine[1] - one[1]
    recovered = mixed[0] - one[0], mixed[1] - one[1]
    numbers = {
        "own source": mine,
        "one other source": one,
        "all other sources": mixed,
        "all sources": every,
        "drop": drop,
        "recovered by mixing": recovered,
    }
    comparisons = {name: percentile_interval(*number) for name, number in numbers.items()}
    if comparisons["drop"].low > 0:  # of nothing there is no share
        shares = recovered[1] / np.where(drop[1] == 0, np.nan, drop[1])
        comparisons[_SHARE] = percentile_interval(recovered[0] / drop[0], shares)
    return comparisons


def _conclusion(comparisons: Mapping[str, Interval]) -> str:
    def signed(name: str) -> str:
        each = comparisons[name]
        return f"{each.value:+.3f} ({each.low:+.3f} to {each.high:+.3f})"

    recovered = comparisons["recovered by mixing"]
    text = (
        f"trained on one other source instead of its own, a test source loses {signed('drop')} "
        f"of AUC; training on all others mixed recovers {signed('recovered by mixing')}"
    )
    share = comparisons.get(_SHARE)
    if share is None:
        return f"{text}: no drop is shown, so a share of it has no meaning"
    text += f", {share.value:.0%} of the drop ({share.low:.0%} to {share.high:.0%})"
    if recovered.low > 0:
        return f"{text}: mixing helps"
    return f"{text}: mixing {'harms' if recovered.high < 0 else 'is not shown to help'}"
