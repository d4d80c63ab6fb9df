"""The largest batches that this machine trains a recipe's networks on."""

from mammo_core.errors import ModelError
from mammo_core.processes import ProcessError, call_in_process
from mammo_core.recipes import Recipe
from mammo_core.steps.networks import prepare_keras

PARTS = ("patch_training", "image_training")


def find_batch_sizes(recipe: Recipe, largest: int = 512) -> dict[str, int]:
    """Return the largest power of two of records that a training step takes, of each training.

    Each network is built as the recipe says, with random weights, and trains on made-up
    records of the recipe's size, precision and hardware.

    Args:
        recipe: Of one network, or of an ensemble: then what all of its networks take.
        largest: Not tried beyond.

    Returns:
        `patch_training` (none where the recipe starts from a model package) and
        `image_training`.

    Raises:
        ModelError: Not even one record fits into the memory.
    """
    parts = PARTS[1:] if recipe.image_training.start else PARTS
    networks = [recipe.of_member(member.name) for member in recipe.members] or [recipe]
    return {
        part: min(_largest_batch(network.to_json(), part, largest) for network in networks)
        for part in parts
    }


def _largest_batch(recipe: str, part: str, largest: int) -> int:
    """Measure in a separate process: its peak of memory is counted by process."""
    try:
        batch: int = call_in_process(_measure, recipe, part, largest, capture=False)
        return batch
    except ProcessError as error:
        raise ModelError(
            f"The largest batch of {part} cannot be measured",
            expected="a training step on one or two records",
            received=f"the process ended ({error.received}), as it does when memory is full",
            hint="Set hardware.rematerialize, precision mixed_bfloat16, or smaller images",
        ) from error


def _measure(text: str, part: str, largest: int) -> int:
    prepare_keras()
    from mammo_core.features.frame import IMAGE_CLASSES
    from mammo_core.models import build_patch_network, to_two_views, to_whole_image
    from mammo_core.training.batch_size import find_batch_size
    from mammo_core.training.devices import share_batches

    recipe = Recipe.model_validate_json(text)
    network = recipe.patch_training.network.model_copy(update={"weights": "none"})
    hardware, side = recipe.hardware, recipe.sampling.patch_size
    share_batches(hardware.devices, None)
    classes = len(recipe.label_map.names)
    model = build_patch_network(network, (side, side), classes, recipe.seed)
    if part == "patch_training":
        return find_batch_size(model, recipe.patch_training, (side, side), largest, hardware)
    geometry, config = recipe.convert.geometry, recipe.image_training
    shape = (geometry.height, geometry.width)
    model = to_whole_image(model, config.head, shape, len(IMAGE_CLASSES), recipe.seed)
    if config.two_view is not None:
        model = to_two_views(model, config.two_view)
    return find_batch_size(model, config, shape, largest, hardware)
