"""The second stage: a random forest on the region features of a breast.

As in the original (docs/original-system.md, "Region features and the second stage"): means in
place of missing numbers, 300 balanced trees, five-fold cross-validation over depth and minimum
size of a split. The fitted forest is stored as plain arrays instead of a pickle, so reading a file
never runs code.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mammo_core.documents import parse_npz
from mammo_core.errors import ModelError, RecordError
from mammo_core.evaluation.second_stage.config import ForestConfig
from mammo_core.metrics import Interval, auc, auc_interval

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class RegionForest:
    """A fitted forest as plain arrays.

    Attributes:
        names: `(f,)` feature names, in order.
        means: `(f,) float64`, of the training set, in place of missing numbers.
        roots: `(t,) int64`, node where each tree begins.
        left: `(n,) int64`, child where the feature is at most the threshold; -1 in a leaf.
        right: `(n,) int64`, the other child; -1 in a leaf.
        feature: `(n,) int64`, index of the feature that is compared.
        threshold: `(n,) float64`.
        value: `(n,) float64, [0, 1]`, share of malignant breasts in the node.
    """

    names: tuple[str, ...]
    means: npt.NDArray[np.float64]
    roots: npt.NDArray[np.int64]
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    feature: npt.NDArray[np.int64]
    threshold: npt.NDArray[np.float64]
    value: npt.NDArray[np.float64]

    def predict(self, features: "pd.DataFrame") -> npt.NDArray[np.float64]:
        """Return the probability that each breast is malignant.

        Args:
            features: One row per breast (or pair of images), with all of `names` among its
                columns; NaN for a missing view.

        Returns:
            `(n,) float64, [0, 1]`.

        Raises:
            RecordError: A feature is missing.
        """
        absent = [name for name in self.names if name not in features.columns]
        if absent:
            raise RecordError(
                "The features do not fit the second stage",
                expected=f"{len(self.names)} features, {self.names[0]} and so on",
                received=f"a table that lacks {len(absent)} of them, first {absent[0]}",
                hint="Use the cutoffs that the forest was fitted with.",
            )
        values = features[list(self.names)].to_numpy(np.float64)
        # scikit-learn's trees compare 32-bit floats.
        filled = np.where(np.isfinite(values), values, self.means).astype(np.float32)
        node = np.broadcast_to(self.roots, (len(filled), len(self.roots))).copy()
        rows = np.arange(len(filled))[:, np.newaxis]
        while (inner := self.left[node] >= 0).any():
            low = filled[rows, self.feature[node]] <= self.threshold[node]
            node = np.where(inner, np.where(low, self.left[node], self.right[node]), node)
        return np.asarray(self.value[node].mean(axis=1))

    def to_bytes(self) -> bytes:
        """Return the forest as an .npz file of plain arrays, always the same bytes."""
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {"names": np.array(self.names)}
        arrays.update({name: getattr(self, name) for name in _ARRAYS})
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "RegionForest":
        """Read a forest.

        Raises:
            ModelError: The bytes are not a forest.
        """
        try:
            stored = parse_npz(data, max_bytes=_MAXIMUM_BYTES)
            arrays = {name: stored[name] for name in _ARRAYS}
            names = tuple(map(str, stored["names"]))
            nodes = len(arrays["left"])
            children = np.stack([arrays["left"], arrays["right"]])
            inner = children[:, arrays["left"] >= 0]
            consistent = (
                len(names) == len(arrays["means"])
                and all(len(arrays[name]) == nodes for name in _NODES)
                and (inner > np.flatnonzero(arrays["left"] >= 0)).all()  # no cycles
                and inner.max(initial=0) < nodes
                and 0 <= arrays["roots"].min() <= arrays["roots"].max() < nodes
                and 0 <= arrays["feature"].min() <= arrays["feature"].max() < len(names)
            )
        except Exception as error:  # a damaged zip or array raises many types
            raise _forest_error(type(error).__name__) from error
        if not consistent:
            raise _forest_error("arrays that do not match each other")
        return cls(names=names, **arrays)


_MAXIMUM_BYTES = 2**30
_NODES = ("left", "right", "feature", "threshold", "value")
_ARRAYS = ("means", "roots", *_NODES)


def _forest_error(received: str) -> ModelError:
    return ModelError(
        "The second stage cannot be read",
        expected="a forest.npz written by the step `regions`",
        received=received,
    )


@dataclass(frozen=True)
class FittedForest:
    """A fitted forest, and how its parameters were chosen.

    Attributes:
        forest: Fitted on all breasts.
        max_depth: The chosen depth.
        least_split: The chosen minimum size of a split.
        tried: (max_depth, least_split, AUC in cross-validation) of each combination.
        held_out: `(n,) float64, [0, 1]`, probability of each row, predicted in the fold it was
            held out from.
        cross_validation: AUC of these, with its interval by patient. It is slightly optimistic,
            because depth and split were chosen by it.
        importance: Features by importance, the most important first, with their share.
    """

    forest: RegionForest
    max_depth: int
    least_split: float
    tried: tuple[tuple[int, float, float], ...]
    held_out: npt.NDArray[np.float64]
    cross_validation: Interval
    importance: tuple[tuple[str, float], ...]


def fit_forest(
    features: "pd.DataFrame",
    names: tuple[str, ...],
    config: ForestConfig,
    seed: int,
    replicates: int = 2000,
) -> FittedForest:
    """Fit the second stage, depth and split chosen by cross-validation by patient.

    Args:
        features: From `regions.breast_table`: patient_key, label and the features.
        names: Names of the features.
        config: How to fit.
        seed: Seed of trees, folds and the bootstrap.
        replicates: Replicates of the bootstrap.

    Raises:
        RecordError: A class has fewer than two patients.
    """
    labels = features["label"].to_numpy(np.int64)
    groups = features["patient_key"].to_numpy(str)
    values = features[list(names)].to_numpy(np.float64)
    folds = list(_folds(labels, groups, config.folds, seed))
    tried = []
    for depth in config.max_depths:
        for split in config.least_splits:
            held_out = np.empty(len(labels))
            for fit, test in folds:
                model = _fit(values[fit], labels[fit], config.trees, depth, split, seed)
                held_out[test] = model.predict_proba(values[test])[:, 1]
            tried.append((auc(labels, held_out), depth, split, held_out))
    # Of equal ones the first: the shallower trees.
    _, depth, split, held_out = max(tried, key=lambda trial: trial[0])
    model = _fit(values, labels, config.trees, depth, split, seed)
    shares = model[-1].feature_importances_
    order = np.argsort(-shares, kind="stable")
    return FittedForest(
        forest=_arrays(model, names),
        max_depth=depth,
        least_split=split,
        tried=tuple((depth, split, area) for area, depth, split, _ in tried),
        held_out=held_out,
        cross_validation=auc_interval(labels, held_out, groups, replicates, seed),
        importance=tuple((names[index], float(shares[index])) for index in order),
    )


def _folds(
    labels: npt.NDArray[np.int64], groups: npt.NDArray[np.str_], folds: int, seed: int
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    from sklearn.model_selection import StratifiedGroupKFold

    patients = [len(set(groups[labels == label])) for label in (0, 1)]
    count = min(folds, *patients)
    if count < 2:
        raise RecordError(
            "Too few patients for the second stage",
            expected="at least 2 patients with malignant and 2 with benign breasts",
            received=f"{patients[1]} and {patients[0]}",
        )
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed % 2**32)
    for fit, test in splitter.split(labels, labels, groups):
        if len(set(labels[fit])) < 2:
            raise RecordError(
                "A fold of the second stage has only one class to fit",
                expected="malignant and benign breasts outside every fold",
                received=f"{int(labels.sum())} malignant of {len(labels)} breasts in {count} folds",
                hint="Use more patients or fewer folds.",
            )
        yield fit, test


def _fit(
    values: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64],
    trees: int,
    depth: int,
    split: float,
    seed: int,
) -> Any:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline

    forest = RandomForestClassifier(
        trees,
        max_depth=depth,
        min_samples_split=max(2, round(split * len(labels))),
        class_weight="balanced",
        random_state=seed % 2**32,
        n_jobs=-1,  # the trees are the same on any number of cores
    )
    # A feature that is always missing (a view that no breast has) is kept, as 0.
    return make_pipeline(SimpleImputer(keep_empty_features=True), forest).fit(values, labels)


def _arrays(model: Any, names: tuple[str, ...]) -> RegionForest:
    trees = [estimator.tree_ for estimator in model[-1].estimators_]
    starts = np.cumsum([0, *(tree.node_count for tree in trees)])

    def children(name: str) -> npt.NDArray[np.int64]:
        return np.concatenate(
            [
                np.where(getattr(tree, name) < 0, -1, getattr(tree, name) + start)
                for tree, start in zip(trees, starts, strict=False)
            ]
        ).astype(np.int64)

    return RegionForest(
        names=names,
        means=np.asarray(model[0].statistics_, dtype=np.float64),
        roots=starts[:-1].astype(np.int64),
        left=children("children_left"),
        right=children("children_right"),
        feature=np.maximum(np.concatenate([tree.feature for tree in trees]), 0).astype(np.int64),
        threshold=np.concatenate([tree.threshold for tree in trees]).astype(np.float64),
        value=np.concatenate(
            [tree.value[:, 0, 1] / tree.value[:, 0].sum(axis=1) for tree in trees]
        ).astype(np.float64),
    )
