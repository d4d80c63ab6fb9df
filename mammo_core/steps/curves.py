"""What a training shows while it runs: its lines, TensorBoard logs and an HTML page."""

from typing import Any

import numpy as np

from mammo_core.preprocessing import Preprocessing
from mammo_core.reporting import Page, Table, contact_sheet, training_plot
from mammo_core.steps.base import StepContext
from mammo_core.training.event_file import EventFile

_SHOWN = 16
_COLUMNS = ("stage", "epoch", "loss", "val_loss", "accuracy", "val_accuracy", "val_auc")


class Curves:
    """Tells a training's epochs, and keeps their curves in the run's record.

    `runs/<id>/tensorboard/<step>/` holds events for TensorBoard, `runs/<id>/<step>.html` a
    page; both are written anew after every epoch, and hold no pixel but samples of what
    the network saw after augmentation.

    Args:
        context: Of the step.
        preprocessing: Of the training.
    """

    def __init__(self, context: StepContext, preprocessing: Preprocessing) -> None:
        self._context, self._preprocessing = context, preprocessing
        self._rows: list[dict[str, Any]] = []
        self._sheet: bytes | None = None
        self._board = EventFile()

    def samples(self, step: Any) -> None:
        """Keep pictures of a batch as the network sees it."""
        seen = step.images[0] if isinstance(step.images, list) else step.images
        images = np.asarray(seen, np.float32)[: min(step.count, _SHOWN), ..., 0]
        # Back to gray levels; contact sheets stretch each picture on its own.
        grey = np.clip((images + self._preprocessing.mean) * 257, 0, 65535).astype(np.uint16)
        self._sheet = contact_sheet({"after augmentation": grey})
        self._board.add_picture("samples after augmentation", self._sheet, 0)

    def epoch(self, row: dict[str, Any]) -> None:
        """Tell an epoch and keep its numbers."""
        self._context.say(_line(row))
        self._rows.append(row)
        self._board.add_scalars(
            {name: value for name, value in row.items() if isinstance(value, (int, float))},
            row["epoch"],
        )
        self._write()

    def finish(self, history: list[dict[str, Any]]) -> None:
        """Show all epochs, those before an interruption too."""
        self._rows = history
        self._write()

    def _write(self) -> None:
        name, store = self._context.name, self._context.store
        folder = f"runs/{self._context.run_id}"
        store.write(f"{folder}/tensorboard/{name}/{self._board.name}", self._board.data)
        store.write(f"{folder}/{name}.html", self._page().encode())

    def _page(self) -> str:
        page = Page(f"{self._context.recipe.name}: {self._context.name}", "Training curves")
        page.section("Curves").figure(training_plot(self._rows, self._context.name), "By epoch")
        columns = [*_COLUMNS, "learning_rate", "images_per_s"]
        rows = [{**row, "learning_rate": f"{row['learning_rate']:.3g}"} for row in self._rows]
        page.section("Epochs").table(Table.from_records(rows, columns))
        if self._sheet is not None:
            page.section("Samples").figure(
                self._sheet, "Training images as the network sees them, after augmentation"
            )
        return page.html()


def _line(row: dict[str, Any]) -> str:
    def number(name: str) -> str:
        value = row.get(name)
        return "–" if value is None else f"{value:.3f}"

    return (
        f"stage {row['stage']} epoch {row['epoch']}: loss {number('loss')}, "
        f"validation loss {number('val_loss')}, accuracy {number('val_accuracy')}, "
        f"AUC {number('val_auc')}, {row['images_per_s']:.0f} images/s"
    )
