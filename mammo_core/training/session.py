"""One training in a store: its records, checkpoints and curves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mammo_core.preprocessing import Preprocessing
from mammo_core.store import Store
from mammo_core.training.checkpoint import Checkpoints
from mammo_core.training.config import FitConfig, HardwareConfig
from mammo_core.training.curves import TrainingCurves
from mammo_core.training.fit import TrainingResult, train
from mammo_core.training.kinds import CHECKPOINTS
from mammo_core.training.memory.devices import gpus, share_batches

#: The splits that a training reads.
FITTED_SPLITS = ("train", "validation")
#: Columns of the history that depend on the machine; they are not part of an output.
_MEASUREMENTS = ("images_per_s", "seconds")


@dataclass(frozen=True)
class TrainingSession:
    """What a training needs besides the network and its records.

    Attributes:
        store: The object store.
        folder: Folder of the output.
        title: Title of the page of curves.
        seed: The seed of the run.
        hardware: Hardware options.
        name: Name of the training on its page.
        print_line: Prints a line.
        write_page: Writes the page of curves.
        write_events: Writes a TensorBoard event file, given its name and its bytes.
        check_lease: Raises LeaseLostError if another process makes the output now.
    """

    store: Store
    folder: str
    title: str
    seed: int
    hardware: HardwareConfig
    name: str
    print_line: Callable[[str], None]
    write_page: Callable[[str], None]
    write_events: Callable[[str, bytes], None]
    check_lease: Callable[[], None]

    def share_batches(self, config: FitConfig) -> None:
        """Divide batches among devices; call it before the network is built."""
        used, available = share_batches(self.hardware.devices, config.batch_size), gpus()
        if used > 1:
            self.print_line(f"{used} devices share each batch")
        elif available > 1:
            self.print_line(
                f"1 of {available} GPUs trains; hardware.devices sets how many share a batch"
            )

    def fit(
        self,
        model: Any,
        config: FitConfig,
        sources: Mapping[str, Any],
        classes: Sequence[str],
        preprocessing: Preprocessing,
        *,
        from_scratch: bool,
    ) -> TrainingResult:
        """Train a network, resuming from its checkpoint if there is one.

        Args:
            model: The network.
            config: The stages and the options of each step.
            sources: Split → records, for FITTED_SPLITS.
            classes: Class names, in the order of the outputs.
            preprocessing: How pixels reach the network.
            from_scratch: Whether the weights are random.
        """
        for split in FITTED_SPLITS:
            source = sources[split]
            counts = zip(classes, source.class_counts, strict=True)
            summary = ", ".join(f"{count} {name}" for name, count in counts)
            self.print_line(f"{split}: {source.size} records ({summary})")
        curves = TrainingCurves(
            self.name,
            self.title,
            preprocessing,
            print_line=self.print_line,
            write_page=self.write_page,
            write_events=self.write_events,
        )
        result = train(
            model,
            config,
            sources["train"],
            sources["validation"],
            # One channel is transferred; the device copies it to the others.
            to_network=preprocessing.model_copy(update={"channels": 1}).to_network,
            seed=self.seed,
            class_names=classes,
            hardware=self.hardware,
            checkpoints=self._checkpoints(),
            on_epoch=curves.add_epoch,
            on_resume=self.print_line,
            on_samples=curves.add_samples,
            from_scratch=from_scratch,
        )
        curves.finish(result.history)
        for warning in result.warnings:
            self.print_line(f"warning: {warning}")
        return result

    def delete_checkpoints(self) -> None:
        """Delete the checkpoints, after the network was published."""
        self._checkpoints().clear()

    def _checkpoints(self) -> Checkpoints:
        return Checkpoints(
            self.store,
            f"{CHECKPOINTS}/{self.folder}",
            self.hardware.checkpoint_minutes,
            self.check_lease,
        )


def reproducible_history(history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the epochs without the columns that depend on the machine."""
    return [
        {name: value for name, value in row.items() if name not in _MEASUREMENTS} for row in history
    ]
