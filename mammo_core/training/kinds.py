"""The kinds of trained networks."""

from collections.abc import Sequence

from mammo_core.datasets import Manifest
from mammo_core.datasets.kinds import Facts, Kind, register_kind
from mammo_core.preprocessing import Preprocessing

#: Folder of the checkpoints of all trainings, each in the folder of its output.
CHECKPOINTS = "checkpoints"
_MEMBER = "member_"


class TrainingFacts(Facts):
    """Facts of any training.

    Attributes:
        classes: Names of the classes, in the order of the outputs.
        preprocessing: How pixels reach the network.
        warnings: What the user should look at.
        best_epoch: Epoch of the weights that were kept; 0 if none was trained.
        best_value: Value of the selection criterion at that epoch.
    """

    classes: tuple[str, ...]
    preprocessing: Preprocessing
    warnings: tuple[str, ...] = ()
    best_epoch: int = 0
    best_value: float | None = None


class PatchTrainingFacts(TrainingFacts):
    """Facts of a patch classifier.

    Attributes:
        patch_size: Side of its patches in pixels.
    """

    patch_size: int


class ImageTrainingFacts(TrainingFacts):
    """Facts of a whole-image classifier.

    Attributes:
        start: What it was trained from, in words.
        members: Ids of the trainings that it is the mean of; empty for one network.
    """

    start: str
    members: tuple[str, ...] = ()


PATCH_TRAINING = register_kind(Kind("trainings/patch", 3, PatchTrainingFacts, intermediate=True))
IMAGE_TRAINING = register_kind(Kind("trainings/image", 4, ImageTrainingFacts, intermediate=True))


def lineage_of_members(ids: Sequence[str]) -> dict[str, str]:
    """Return the entries of the lineage of an ensemble that name its members, in their order."""
    return {f"{_MEMBER}{number}": id for number, id in enumerate(ids)}


def members_of(training: Manifest) -> list[str]:
    """Return the ids of the trainings that a training is the mean of; none for one network."""
    return [id for name, id in training.lineage.items() if name.startswith(_MEMBER)]
