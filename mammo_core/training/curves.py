"""What a training shows while it runs: its lines, TensorBoard events and an HTML page."""

from collections.abc import Callable
from typing import Any

import numpy as np

from mammo_core.preprocessing import Preprocessing
from mammo_core.reporting import Page, Table, contact_sheet, training_plot
from mammo_core.training.event_file import EventFile

_SAMPLES = 16
_COLUMNS = ("stage", "epoch", "loss", "val_loss", "accuracy", "val_accuracy", "val_auc")


class TrainingCurves:
    """Prints the epochs of a training and keeps a page and an event file up to date.

    Both are rewritten after every epoch. Their only pixels are samples of what the network
    receives after augmentation.

    Args:
        name: Name of the training.
        title: Title of the page.
        preprocessing: How pixels reach the network.
        print_line: Prints a line.
        write_page: Writes the HTML page.
        write_events: Writes the event file, given its name and its bytes.
    """

    def __init__(
        self,
        name: str,
        title: str,
        preprocessing: Preprocessing,
        *,
        print_line: Callable[[str], None],
        write_page: Callable[[str], None],
        write_events: Callable[[str, bytes], None],
    ) -> None:
        self._name, self._title = name, title
        self._preprocessing = preprocessing
        self._print_line = print_line
        self._write_page = write_page
        self._write_events = write_events
        self._rows: list[dict[str, Any]] = []
        self._samples: bytes | None = None
        self._events = EventFile()

    def add_samples(self, step: Any) -> None:
        """Keep pictures of a batch as the network receives it."""
        inputs = step.images[0] if isinstance(step.images, list) else step.images
        images = np.asarray(inputs, np.float32)[: min(step.count, _SAMPLES), ..., 0]
        # Back to gray levels; contact sheets stretch each picture separately.
        gray = np.clip((images + self._preprocessing.mean) * 257, 0, 65535).astype(np.uint16)
        self._samples = contact_sheet({"after augmentation": gray})
        self._events.add_picture("samples after augmentation", self._samples, 0)

    def add_epoch(self, row: dict[str, Any]) -> None:
        """Print an epoch and add its numbers to the curves."""
        self._print_line(_line(row))
        self._rows.append(row)
        self._events.add_scalars(
            {name: value for name, value in row.items() if isinstance(value, (int, float))},
            row["epoch"],
        )
        self._write()

    def finish(self, history: list[dict[str, Any]]) -> None:
        """Show all epochs, including those before an interruption."""
        self._rows = history
        self._write()

    def _write(self) -> None:
        self._write_events(self._events.name, self._events.data)
        self._write_page(self._page())

    def _page(self) -> str:
        page = Page(self._title, "Training curves")
        page.section("Curves").figure(training_plot(self._rows, self._name), "By epoch")
        columns = [*_COLUMNS, "learning_rate", "images_per_s"]
        rows = [{**row, "learning_rate": f"{row['learning_rate']:.3g}"} for row in self._rows]
        page.section("Epochs").table(Table.from_records(rows, columns))
        if self._samples is not None:
            page.section("Samples").figure(
                self._samples, "Training images as the network receives them, after augmentation"
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
