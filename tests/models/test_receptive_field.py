"""The receptive field of a cell, computed through the layers."""

import keras
import numpy as np
import pytest
from keras import layers
from network_names import TESTED

from mammo_core.errors import ModelError
from mammo_core.models import NETWORKS, NetworkConfig, build_patch_network
from mammo_core.models.heatmaps.receptive_field import receptive_field

SMALL = ("compact", "yaroslav", "vgg16")


@pytest.mark.parametrize(
    "name",
    [name if name in SMALL else pytest.param(name, marks=pytest.mark.slow) for name in TESTED],
)
def test_every_network_has_the_geometry_of_the_registry(name: str):
    network = NETWORKS[name]
    base, _, topology = name.rpartition("_")
    if topology not in ("keras2", "torch"):
        base, topology = name, "today"
    config = NetworkConfig.model_validate({"name": base, "topology": topology})
    model = build_patch_network(config, (256, 256), 2, seed=0)
    features = keras.Model(model.inputs[0], model.get_layer(network.feature).output)
    for side in (224, 288, 901):
        field = receptive_field(features, side, axis=0)
        geometry = (field.cells, field.stride, field.center)
        assert geometry == (network.cells(side), network.stride, network.center(side))
        assert field.everywhere == name.startswith("efficientnet")


def test_a_cell_depends_on_the_pixels_of_its_field_only():
    """Change one pixel after another: the cell changes exactly within its field."""
    inputs = keras.Input((40, 40, 1))
    x = layers.ZeroPadding2D(((2, 1), (0, 3)))(inputs)
    x = layers.Conv2D(1, 3, strides=2, padding="same", kernel_initializer="ones")(x)
    side = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    x = layers.Conv2D(1, 3, dilation_rate=2, padding="same", kernel_initializer="ones")(x)
    x = layers.Add()([side, layers.AveragePooling2D(2)(x)])
    model = keras.Model(inputs, layers.Cropping2D(((1, 0), (2, 0)))(x))
    zero = np.zeros((40, 40, 40, 1), np.float32)
    for axis in (0, 1):
        field = receptive_field(model, 40, axis)
        images = zero.copy()
        for k in range(40):
            if axis == 0:
                images[k, k] = 1
            else:
                images[k, :, k] = 1
        maps = np.moveaxis(np.asarray(model(images)), axis + 1, 1)
        assert maps.shape[1] == field.cells
        for cell in (0, 2, field.cells - 1):
            changed = np.flatnonzero(np.abs(maps[:, cell]).max((1, 2)) > 0)
            low, high = (end + cell * field.stride for end in (field.low, field.high))
            assert (changed.min(), changed.max()) == (max(low, 0), min(high, 39))


def test_unsupported_layers_are_rejected():
    inputs = keras.Input((40, 40, 1))
    moved = keras.Model(inputs, layers.Permute((2, 1, 3))(inputs))
    with pytest.raises(ModelError, match="a Permute"):
        receptive_field(moved, 40, 0)
    with pytest.raises(ModelError, match="without a position"):
        receptive_field(keras.Model(inputs, layers.Flatten()(inputs)), 40, 0)
