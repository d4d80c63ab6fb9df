"""What a whole-image training begins with."""

from dataclasses import dataclass
from typing import Any

from mammo_core.datasets import Manifest
from mammo_core.errors import ModelError
from mammo_core.features.frame import IMAGE_CLASSES, Frame
from mammo_core.models.config import TwoViewConfig
from mammo_core.preprocessing import Preprocessing
from mammo_core.steps.base import StepContext
from mammo_core.steps.networks import load_network, preprocessing_of


@dataclass(frozen=True)
class Start:
    """A model package to begin with: where it was fetched to, and what it is."""

    folder: Any
    model_id: str


@dataclass(frozen=True)
class Begun:
    """A whole-image network before its training.

    Attributes:
        model: The network.
        preprocessing: The way pixels of this dataset and frame reach it.
        from_scratch: Whether its weights are random.
        told: Where it comes from, in words.
    """

    model: Any
    preprocessing: Preprocessing
    from_scratch: bool
    told: str


def start_package(uri: str) -> Start:
    """Find and verify the model package that `image_training.start` names.

    Raises:
        ModelError: There is no such package, or a file of it is damaged.
    """
    from mammo_core.packaging import verify
    from mammo_core.registry import resolve

    folder = resolve(uri)
    return Start(folder, verify(folder).model_id)


def begin_image_model(
    context: StepContext,
    images: Manifest,
    frame: Frame,
    patch_training: Manifest | None,
    package: Start | None,
) -> Begun:
    """Return the network that a whole-image training begins with.

    Mean and scale are always those of this frame: a package is given the images as its
    own training would have seen them, centred on the new training set
    (original-system.md §6.2).

    Args:
        context: Of the step.
        images: The image dataset.
        frame: The frame.
        patch_training: The patch classifier to convert, or None.
        package: The model package to begin with, or None.
    """
    from mammo_core.models import (
        build_patch_network,
        network_of,
        to_two_views,
        to_whole_image,
    )

    recipe = context.recipe
    if package is not None:
        model = _of_package(package, images, recipe.image_training.two_view)
        told = f"model package {package.model_id}"
        channels = int(model.inputs[0].shape[-1])
        return Begun(model, preprocessing_of(images, frame, channels), False, told)
    network = recipe.patch_training.network
    if patch_training is not None:
        patch_model = load_network(context, patch_training)
        told = f"patch classifier {patch_training.id}"
    else:
        side = recipe.sampling.patch_size
        classes = len(recipe.label_map.names)
        patch_model = build_patch_network(network, (side, side), classes, recipe.seed)
        told = f"{network.name}, weights {network.weights}"
    preprocessing = preprocessing_of(images, frame, network_of(patch_model).channels)
    shape = (preprocessing.geometry.height, preprocessing.geometry.width)
    model = to_whole_image(
        patch_model,
        recipe.image_training.head,
        shape,
        classes=len(IMAGE_CLASSES),
        seed=recipe.seed,
    )
    if recipe.image_training.two_view is not None:
        model = to_two_views(model, recipe.image_training.two_view)
    scratch = patch_training is None and network.weights == "none"
    return Begun(model, preprocessing, scratch, told)


def _of_package(start: Start, images: Manifest, two_view: TwoViewConfig | None) -> Any:
    import keras

    from mammo_core.models import to_two_views
    from mammo_core.models.weights import transfer_weights
    from mammo_core.packaging import load

    package = load(start.folder)
    classes = {name: index for index, name in enumerate(IMAGE_CLASSES)}
    if dict(package.label_map) != classes:
        raise ModelError(
            f"The model package {start.model_id} tells other classes apart",
            expected=str(classes),
            received=str(dict(package.label_map)),
        )
    model = package.model
    geometry = images.facts["geometry"]
    shape = (geometry["height"], geometry["width"], model.inputs[0].shape[-1])
    same = tuple(model.inputs[0].shape[1:]) == shape
    if package.unit == "breast":
        return _of_two_views(start, model, two_view, shape, same)
    if not same:
        inputs = keras.Input(shape, name="pixels")
        sized = keras.models.clone_model(model, input_tensors=inputs)
        transfer_weights(model, sized, what=f"the model package {start.model_id}")
        model = sized
    return model if two_view is None else to_two_views(model, two_view)


def _of_two_views(
    start: Start, model: Any, two_view: TwoViewConfig | None, shape: tuple[int, ...], same: bool
) -> Any:
    """A network of both views goes on as it is: its towers, its join, its size."""
    from mammo_core.models import two_view_config

    held = two_view_config(model)
    if two_view != held:
        raise ModelError(
            f"The model package {start.model_id} sees both views of a breast",
            expected="image_training.two_view as it was built"
            + (f": towers {held.towers}, join {held.join}" if held is not None else ""),
            received="one image at a time" if two_view is None else str(two_view),
            hint="set image_training.two_view, or begin with a package of single images",
        )
    if not same:
        raise ModelError(
            f"The model package {start.model_id} sees two views of another size",
            expected=f"views of {'x'.join(map(str, model.inputs[0].shape[1:3]))} pixels",
            received=f"images of {'x'.join(map(str, shape[:2]))}",
            hint="set convert.geometry, or begin with a package of single images",
        )
    return model
