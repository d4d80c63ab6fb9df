"""Small Keras 3 networks with the topologies that the original built."""

from typing import Any

import keras
from keras import layers


def resnet50(width: int = 4, channels: int = 3, classes: int = 5) -> keras.Model:
    """Build ResNet50 of Keras 2.0.8, narrow: `same` stem, `valid` pool, names, avg_pool 7x7."""
    inputs = keras.Input((None, None, channels), name="input_1")
    x = layers.Conv2D(width, 7, strides=2, padding="same", name="conv1")(inputs)
    x = layers.BatchNormalization(axis=3, name="bn_conv1")(x)
    x = layers.Activation("relu", name="activation_1")(x)
    x = layers.MaxPooling2D(3, strides=2, name="max_pooling2d_1")(x)
    count = 1
    for stage, units in ((2, 3), (3, 4), (4, 6), (5, 3)):
        filters = width * 2 ** (stage - 2)
        for unit in "abcdef"[:units]:
            name = f"{stage}{unit}_branch"
            step = 2 if unit == "a" and stage > 2 else 1
            y = x
            for part, (size, deep) in enumerate(
                ((1, filters), (3, filters), (1, 4 * filters)), start=1
            ):
                part_name = f"{name}2{' abc'[part]}"
                y = layers.Conv2D(
                    deep,
                    size,
                    strides=step if part == 1 else 1,
                    padding="same" if size == 3 else "valid",
                    name=f"res{part_name}",
                )(y)
                y = layers.BatchNormalization(axis=3, name=f"bn{part_name}")(y)
                if part < 3:
                    count += 1
                    y = layers.Activation("relu", name=f"activation_{count}")(y)
            if unit == "a":
                x = layers.Conv2D(4 * filters, 1, strides=step, name=f"res{name}1")(x)
                x = layers.BatchNormalization(axis=3, name=f"bn{name}1")(x)
            x = layers.Add(name=f"add_{stage}{unit}")([y, x])
            count += 1
            x = layers.Activation("relu", name=f"activation_{count}")(x)
    x = layers.AveragePooling2D(7, name="avg_pool")(x)
    x = layers.GlobalAveragePooling2D(name="global_average_pooling2d_1")(x)
    x = layers.Dropout(0.5, name="dropout_1")(x)
    x = layers.Dense(classes, activation="softmax", name="dense_1")(x)
    return keras.Model(inputs, x, name="model_1")


def application(name: str) -> keras.Model:
    """Build a network of keras.applications with a softmax of five classes."""
    build = {
        "vgg19": keras.applications.VGG19,
        "xception": keras.applications.Xception,
        "inception_v3": keras.applications.InceptionV3,
    }[name]
    body = build(include_top=False, weights=None, pooling="avg", input_shape=(None, None, 3))
    x = layers.Dense(5, activation="softmax", name="dense_1")(body.output)
    return keras.Model(body.input, x, name="model_1")


def tower(channels: int = 1, name: str = "model_1", classes: int = 0) -> keras.Model:
    """Build a few layers for gray images: features, or a classifier."""
    inputs = keras.Input((None, None, channels), name="input_1")
    x: Any = inputs
    for number, filters in enumerate((6, 8), start=1):
        x = layers.Conv2D(filters, 3, padding="same", name=f"conv2d_{number}")(x)
        x = layers.BatchNormalization(name=f"batch_normalization_{number}", scale=number == 1)(x)
        x = layers.Activation("relu", name=f"activation_{number}")(x)
        x = layers.MaxPooling2D(2, name=f"max_pooling2d_{number}")(x)
    if classes:
        x = layers.GlobalAveragePooling2D(name="global_average_pooling2d_1")(x)
        x = layers.Dense(classes, activation="softmax", name="dense_1")(x)
    return keras.Model(inputs, x, name=name)


def two_views(shared: bool) -> keras.Model:
    """Build a network of CC and MLO with one tower called twice or two towers."""
    inputs = [keras.Input((32, 24, 1), name=f"input_{view}") for view in ("cc", "mlo")]
    first = tower(name="model_1")
    towers = [first, first if shared else tower(name="model_2")]
    pooled = [
        layers.GlobalMaxPooling2D(name=f"pool_{number}")(each(image))
        for number, (each, image) in enumerate(zip(towers, inputs, strict=True))
    ]
    x = layers.Concatenate(axis=-1, name="concatenate_1")(pooled)
    same = layers.Dense(6, name="dense_1")
    x = layers.Multiply(name="multiply_1")([same(x), same(x)])
    x = layers.Dense(2, activation="softmax", name="dense_2")(x)
    return keras.Model(inputs, x, name="model_3")


def deep() -> keras.Model:
    """Build a model in a model in a model, with a map of features flattened and reshaped."""
    inner = tower(name="model_1")
    inputs = keras.Input((32, 24, 1), name="input_2")
    middle = keras.Model(
        inputs, layers.Dense(3, activation="relu", name="dense_1")(inner(inputs)), name="model_2"
    )
    outer = keras.Input((32, 24, 1), name="input_3")
    x = layers.ZeroPadding2D(((1, 0), (0, 1)), name="zero_padding2d_1")(middle(outer))
    x = layers.SeparableConv2D(4, 3, use_bias=False, name="separable_conv2d_1")(x)
    x = layers.Reshape((-1, 4), name="reshape_1")(x)
    x = layers.Flatten(name="flatten_1")(x)
    x = layers.Dense(2, activation="softmax", name="dense_1")(x)
    return keras.Model(outer, x, name="model_3")
