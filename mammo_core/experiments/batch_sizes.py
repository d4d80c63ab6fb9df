"""The largest batches with which this machine can train the networks of a recipe."""

from mammo_core.errors import ModelError
from mammo_core.models.backend import prepare_keras
from mammo_core.processes import ProcessError, call_in_process
from mammo_core.recipes import Recipe

_SECTIONS = ("patch_training", "image_training")


def find_batch_sizes(recipe: Recipe, largest: int = 512) -> dict[str, int]:
    """Return the largest power of two of records that fits into a step of each training.

    Each network is built as in the recipe, with random weights, and trained on random records
    with the recipe's size, precision and hardware.

    Args:
        recipe: A recipe of one network, or of an ensemble: then the sizes that fit all of them.
        largest: Upper limit.

    Returns:
        `patch_training` (not if the recipe starts from a model package) and `image_training`.

    Raises:
        ModelError: Not even one record fits into the memory.
    """
    sections = _SECTIONS[1:] if recipe.image_training.start else _SECTIONS
    networks = [recipe.of_member(member.name) for member in recipe.members] or [recipe]
    return {
        section: min(_largest_batch(network.to_json(), section, largest) for network in networks)
        for section in sections
    }


def _largest_batch(recipe: str, section: str, largest: int) -> int:
    """Measure in a separate process, because peak memory is counted per process."""
    try:
        batch: int = call_in_process(_measure, recipe, section, largest, capture=False)
        return batch
    except ProcessError as error:
        raise ModelError(
            f"The largest batch of {section} cannot be measured",
            expected="a training step on one or two records",
            received=f"the process ended ({error.received}), as it does when memory is full",
            hint="set hardware.rematerialize, precision mixed_bfloat16, or smaller images",
        ) from error


def _measure(recipe_json: str, section: str, largest: int) -> int:
    prepare_keras()
    from mammo_core.features.frame import IMAGE_CLASSES
    from mammo_core.models import build_patch_network, to_two_views, to_whole_image
    from mammo_core.training.memory.batch_size import find_batch_size
    from mammo_core.training.memory.devices import share_batches

    recipe = Recipe.model_validate_json(recipe_json)
    network = recipe.patch_training.network.model_copy(update={"weights": "none"})
    hardware, side = recipe.hardware, recipe.sampling.patch_size
    share_batches(hardware.devices, None)
    classes = len(recipe.label_map.names)
    model = build_patch_network(network, (side, side), classes, recipe.seed)
    if section == "patch_training":
        return find_batch_size(model, recipe.patch_training, (side, side), largest, hardware)
    geometry, config = recipe.convert.geometry, recipe.image_training
    shape = (geometry.height, geometry.width)
    model = to_whole_image(model, config.head, shape, len(IMAGE_CLASSES), recipe.seed)
    if config.two_view is not None:
        model = to_two_views(model, config.two_view)
    return find_batch_size(model, config, shape, largest, hardware)
