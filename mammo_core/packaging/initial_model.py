"""The network that a whole-image training starts from."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from mammo_core.datasets import Manifest
from mammo_core.errors import ModelError
from mammo_core.features.frame import IMAGE_CLASSES, Frame
from mammo_core.ingest.kinds import IMAGE_DATASET
from mammo_core.models.config import HeadConfig, NetworkConfig, TwoViewConfig
from mammo_core.packaging.package import OpenedPackage, Package
from mammo_core.packaging.start_contract import require_same_contract
from mammo_core.preprocessing import Preprocessing
from mammo_core.store import Store
from mammo_core.training.config import StartDifference
from mammo_core.training.networks import load_network


@dataclass(frozen=True)
class InitialModel:
    """A whole-image network before its training.

    Attributes:
        model: The network.
        preprocessing: How pixels of the dataset and frame reach it.
        from_scratch: Whether its weights are random.
        description: What it was built from, in words.
    """

    model: Any
    preprocessing: Preprocessing
    from_scratch: bool
    description: str


def from_package(
    package: OpenedPackage,
    images: Manifest,
    frame: Frame,
    two_view: TwoViewConfig | None,
    allowed: Collection[StartDifference] = (),
) -> InitialModel:
    """Return the network of a model package, resized to the images of a dataset.

    Mean and rescale factor are those of the frame, not of the package: images are centered on
    the new training set (docs/original-system.md, "Whole-image training").

    Args:
        package: The package.
        images: The image dataset.
        frame: The frame of the training.
        two_view: How the views of a breast are combined; None: one image at a time.
        allowed: In what its images may differ from those of the dataset.

    Raises:
        ModelError: The package has other classes or takes other images, or its network does not
            suit `two_view`.
    """
    loaded = package.load()
    ours = frame.preprocessing(images, loaded.preprocessing.channels)
    what = f"The model package {package.model_id}"
    differences = require_same_contract(what, loaded.preprocessing, ours, allowed)
    model = _model_of_package(package, loaded, images, two_view)
    channels = int(model.inputs[0].shape[-1])
    other = f", trained on other images: {'; '.join(differences)}" if differences else ""
    return InitialModel(
        model,
        frame.preprocessing(images, channels),
        False,
        f"model package {package.model_id}{other}",
    )


def from_patch_classifier(
    store: Store,
    patch_training: Manifest | None,
    images: Manifest,
    frame: Frame,
    *,
    network: NetworkConfig,
    patch_size: int,
    patch_classes: int,
    head: HeadConfig,
    two_view: TwoViewConfig | None,
    seed: int,
) -> InitialModel:
    """Return a patch classifier, or an untrained patch network, converted to whole images.

    Args:
        store: The object store.
        patch_training: The patch classifier; None: an untrained network.
        images: The image dataset.
        frame: The frame of the training.
        network: The untrained network.
        patch_size: Side of its patches in pixels.
        patch_classes: Number of its classes.
        head: The layers that replace the patch classes.
        two_view: How the views of a breast are combined; None: one image at a time.
        seed: Seed of new weights.
    """
    from mammo_core.models import build_patch_network, network_of, to_two_views, to_whole_image

    if patch_training is not None:
        patch_model = load_network(store, patch_training)
        description = f"patch classifier {patch_training.id}"
    else:
        patch_model = build_patch_network(network, (patch_size, patch_size), patch_classes, seed)
        description = f"{network.name}, weights {network.weights}"
    preprocessing = frame.preprocessing(images, network_of(patch_model).channels)
    shape = (preprocessing.geometry.height, preprocessing.geometry.width)
    model = to_whole_image(patch_model, head, shape, classes=len(IMAGE_CLASSES), seed=seed)
    if two_view is not None:
        model = to_two_views(model, two_view)
    from_scratch = patch_training is None and network.weights == "none"
    return InitialModel(model, preprocessing, from_scratch, description)


def _model_of_package(
    start: OpenedPackage, package: Package, images: Manifest, two_view: TwoViewConfig | None
) -> Any:
    import keras

    from mammo_core.models import to_two_views
    from mammo_core.models.registry import is_member
    from mammo_core.models.weights import transfer_weights

    classes = {name: index for index, name in enumerate(IMAGE_CLASSES)}
    if dict(package.label_map) != classes:
        raise ModelError(
            f"The model package {start.model_id} has other classes",
            expected=str(classes),
            received=str(dict(package.label_map)),
        )
    model = package.model
    geometry = IMAGE_DATASET.facts_of(images).geometry
    shape = (geometry.height, geometry.width, model.inputs[0].shape[-1])
    same_shape = tuple(model.inputs[0].shape[1:]) == shape
    if package.unit == "breast":
        _require_two_views(start, model, two_view)
        if not same_shape:
            raise ModelError(
                f"The model package {start.model_id} takes views of another size",
                expected=f"views of {'x'.join(map(str, model.inputs[0].shape[1:3]))} pixels",
                received=f"images of {'x'.join(map(str, shape[:2]))}",
                hint="set convert.geometry, or start from a package of single images",
            )
        return model
    if not same_shape and any(is_member(layer.name) for layer in model.layers):
        raise ModelError(
            f"The model package {start.model_id} is an ensemble for images of another size",
            expected=f"images of {'x'.join(map(str, model.inputs[0].shape[1:3]))} pixels",
            received=f"images of {'x'.join(map(str, shape[:2]))}",
            hint="set convert.geometry, or start from a package of one network",
        )
    if not same_shape:
        inputs = keras.Input(shape, name="pixels")
        resized = keras.models.clone_model(model, input_tensors=inputs)
        transfer_weights(model, resized, what=f"the model package {start.model_id}")
        model = resized
    return model if two_view is None else to_two_views(model, two_view)


def _require_two_views(start: OpenedPackage, model: Any, two_view: TwoViewConfig | None) -> None:
    """Refuse to change how a network of both views combines them."""
    from mammo_core.models import two_view_config

    built = two_view_config(model)
    if two_view != built:
        raise ModelError(
            f"The model package {start.model_id} sees both views of a breast",
            expected="image_training.two_view as the network was built"
            + (f": towers {built.towers}, join {built.join}" if built is not None else ""),
            received="one image at a time" if two_view is None else str(two_view),
            hint="set image_training.two_view, or start from a package of single images",
        )
