"""Training records of several sources, drawn as often as the weights of the sources say."""

from collections import Counter
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from mammo_core.datasets.batches import BatchSource
from mammo_core.errors import ModelError
from mammo_core.sources.several.entry import Mixing
from mammo_core.training.balance import BalancedSource


class SourceMixing(BaseModel):
    """How a training draws from several sources.

    Attributes:
        mixing: `classes`: each source as often as its weight says, and in it every class equally
            often; `sources`: the classes of a source as often as they are; `none`: as they are.
        weights: Name of each training source → its weight.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mixing: Mixing
    weights: dict[str, float] = Field(min_length=1)

    def shares(self, counts: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], float]:
        """Return the share of the records that each group has in training; they add up to 1.

        A source without a record in training has no share: the others have more.

        Args:
            counts: (source, class) → number of its records, above 0.
        """
        present = dict.fromkeys(name for name, _ in counts)
        total = sum(self.weights[name] for name in present)
        records = Counter[str]()
        classes = Counter[str]()
        for (name, _), count in counts.items():
            records[name] += count
            classes[name] += 1
        return {
            (name, label): self.weights[name]
            / total
            * (1 / classes[name] if self.mixing == "classes" else count / records[name])
            for (name, label), count in counts.items()
        }


class MixedSource(BalancedSource):
    """A BatchSource in which the records of several sources have the shares that are set.

    As in `BalancedSource`, a record can occur several times per epoch, or not in every epoch.

    Args:
        source: The records.
        seed: The run's seed.
        labels: Record id → class.
        names: Record id → name of its source.
        config: How often records of each source are drawn.

    Raises:
        ModelError: A training source has no record.
    """

    def __init__(
        self,
        source: BatchSource,
        seed: int,
        labels: Mapping[str, int],
        names: Mapping[str, str],
        config: SourceMixing,
    ) -> None:
        super().__init__(source, seed)
        counts = Counter((names[id], label) for id, label in labels.items())
        missing = sorted(config.weights.keys() - {name for name, _ in counts})
        if missing:
            raise ModelError(
                f"The source {', '.join(missing)} has no record to train on",
                expected="records of each training source in the training split",
                received=", ".join(
                    f"{name} {sum(n for (other, _), n in counts.items() if other == name)}"
                    for name in config.weights
                ),
                hint="make the source external, leave it out, or change the split",
            )
        self._names = names
        self._shares = config.shares(counts)
        self._copies_of = {
            group: self.size * share / counts[group] for group, share in self._shares.items()
        }

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Expected number of records of each class in an epoch, at least 1 of a present class."""
        drawn = dict.fromkeys(range(len(self._source.class_counts)), 0.0)
        for (_, label), share in self._shares.items():
            drawn[label] += self.size * share
        counts = self._source.class_counts
        return tuple(
            max(1, round(drawn[label])) if count else 0 for label, count in enumerate(counts)
        )

    def _expected_copies(self, id: str, label: int) -> float:
        return self._copies_of[self._names[id], label]
