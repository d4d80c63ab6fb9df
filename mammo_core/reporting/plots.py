"""Plots of ROC curves, training histories and confusion matrices."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecordError
from mammo_core.reporting.figures import COLORS, GRAY, figure, png, style
from mammo_core.reporting.measure_plots import curves_plot


def roc_plot(
    false_positive_rate: Sequence[float],
    true_positive_rate: Sequence[float],
    *,
    label: str,
    points: Mapping[str, tuple[float, float]] | None = None,
) -> bytes:
    """Draw a ROC curve.

    Args:
        false_positive_rate: Rising from 0 to 1.
        true_positive_rate: Rising from 0 to 1.
        label: Label of the curve, for instance its AUC with interval.
        points: Named operating points, each (false positive rate, true positive rate).

    Returns:
        PNG bytes.
    """
    return curves_plot(
        {label: (false_positive_rate, true_positive_rate)},
        title="ROC curve",
        x="1 − specificity",
        y="Sensitivity",
        points=points,
        chance=((0, 1), (0, 1)),
    )


def training_plot(history: Sequence[Mapping[str, Any]], title: str) -> bytes:
    """Draw the history of a training: losses, accuracies and AUC, learning rate.

    Args:
        history: One mapping per epoch, in order. Used are `stage`, `loss`, `val_loss`,
            `accuracy`, `val_accuracy`, `val_auc`, `learning_rate`; any may be missing.
        title: Above the curves.

    Returns:
        PNG bytes.

    Raises:
        RecordError: The history is empty.
    """
    if not history:
        raise RecordError(
            "There is no training to draw", expected="at least one epoch", received="none"
        )
    from matplotlib.ticker import MaxNLocator

    epochs = np.arange(1, len(history) + 1)
    panels = (
        ("Loss", {"loss": "training", "val_loss": "validation"}),
        (
            "Accuracy and AUC",
            {
                "accuracy": "training accuracy",
                "val_accuracy": "validation accuracy",
                "val_auc": "validation AUC",
            },
        ),
        ("Learning rate", {"learning_rate": "learning rate"}),
    )
    canvas = figure(10.5, 3.2)
    canvas.suptitle(title, fontsize=11, fontweight="bold", x=0.01, ha="left")
    starts = _stage_starts(history)
    for number, (name, series) in enumerate(panels):
        axes = canvas.add_subplot(1, len(panels), number + 1)
        style(axes, name, "epoch")
        for color, (key, label) in zip(COLORS, series.items(), strict=False):
            values = np.array([_number(epoch.get(key)) for epoch in history])
            if np.isfinite(values).any():
                axes.plot(epochs, values, color=color, marker=".", linewidth=1.6, label=label)
        if name == "Learning rate" and any(_number(e.get("learning_rate")) > 0 for e in history):
            axes.set_yscale("log")
        axes.set_xlim(0.5, len(history) + 0.5)
        axes.margins(y=0.12)
        for epoch, stage in starts:
            if epoch > 1:
                axes.axvline(epoch - 0.5, color=GRAY, linewidth=0.8, linestyle="--")
            if number == 2:
                across = axes.get_xaxis_transform()
                axes.text(epoch - 0.4, 0.01, stage, transform=across, fontsize=7, color=GRAY)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
        if axes.get_legend_handles_labels()[0] and number < 2:
            axes.legend(fontsize=7, frameon=False)
    return png(canvas)


def confusion_plot(matrix: npt.NDArray[np.int64], names: Sequence[str], title: str) -> bytes:
    """Draw a confusion matrix: counts as text, fractions of the true class as shade.

    Args:
        matrix: `(c, c) int64`, rows = true class.
        names: The c classes.
        title: Above the matrix.

    Returns:
        PNG bytes.
    """
    matrix = np.asarray(matrix)
    size = 1.6 + 0.75 * len(names)
    canvas = figure(size + 0.9, size)
    axes = canvas.add_subplot()
    fractions = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
    axes.set_title(title, fontsize=10, loc="left", fontweight="bold")
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xlabel("Predicted", fontsize=9)
    axes.set_ylabel("True", fontsize=9)
    for (row, column), count in np.ndenumerate(matrix):
        color = "white" if fractions[row, column] > 0.55 else "#111827"
        axes.text(column, row, f"{count:,}", ha="center", va="center", fontsize=9, color=color)
    axes.spines[:].set_visible(False)
    return png(canvas)


def _stage_starts(history: Sequence[Mapping[str, Any]]) -> list[tuple[int, str]]:
    """Return the first epoch (from 1) of every stage, with its name."""
    starts: list[tuple[int, str]] = []
    previous: object = None
    for number, epoch in enumerate(history, start=1):
        stage = epoch.get("stage")
        if stage is not None and stage != previous:
            starts.append((number, f"stage {stage}" if isinstance(stage, int) else str(stage)))
        previous = stage
    return starts


def _number(value: Any) -> float:
    """Return a value as a number; missing and non-numeric entries leave a gap in the curve."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")
