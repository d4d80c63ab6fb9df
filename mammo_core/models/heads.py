"""The layers added to a patch network's features to classify a whole image."""

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from mammo_core.models.config import HeadConfig, HeatmapConfig
from mammo_core.models.layers import layer_seed, softmax_layer


@dataclass(frozen=True)
class Head:
    """Adds the layers of a head.

    docs/original-system.md, "From patch network to whole-image classifier".

    Attributes:
        config: The head.
        seed: Determines the random weights.
        dtype: Precision of the layers; those from the logits on are float32.
    """

    config: HeadConfig
    seed: int
    dtype: Any

    def features(self, x: Any) -> Any:
        """Reduce a feature map to one vector per image.

        Args:
            x: `(n, rows, cols, filters)`.

        Returns:
            `(n, features)`; with a shortcut a pair: after the dense layers and before them.
        """
        if self.config.kind == "fc":
            return self._dense(x)
        add_block = {"residual": self._residual, "vgg": self._vgg, "mbconv": self._mbconv}[
            self.config.kind
        ]
        blocks = zip(self.config.depths, self.config.repetitions, strict=True)
        for number, (depth, units) in enumerate(blocks, start=1):
            x = add_block(x, f"head_block{number}", depth, units)
        x = layers.GlobalAveragePooling2D(dtype=self.dtype, name="head_average_pool")(x)
        return self._dropout(x, "head_average_pool")

    def classify(self, x: Any, classes: int) -> Any:
        """Return the class probabilities `(n, classes) float32, [0, 1]` of `features`."""
        if not isinstance(x, tuple):
            return softmax_layer(classes, self.seed)(x)
        logits = [
            layers.Dense(
                classes,
                kernel_initializer=self._initializer(name),
                dtype="float32",
                name=name,
            )(part)
            for name, part in zip(("head_logits", "head_shortcut"), x, strict=True)
        ]
        total = layers.Add(dtype="float32", name="head_add")(logits)
        return layers.Activation("softmax", dtype="float32", name="predictions")(total)

    def heatmap(self, x: Any, config: HeatmapConfig, classes: int) -> Any:
        """Classify each position; its dense layer needs the patch classifier's weights.

        Args:
            x: `(n, rows, cols, filters)`.
            config: Pools and activation.
            classes: Number of classes of the patch classifier.

        Returns:
            `(n, rows', cols', classes)`.
        """
        if config.average_pool is not None:
            x = layers.AveragePooling2D(
                config.average_pool, strides=config.stride, dtype=self.dtype, name="heatmap_pool"
            )(x)
        x = self._dropout(x, "heatmap")
        x = layers.Dense(classes, config.activation, dtype=self.dtype, name="heatmap")(x)
        if config.max_pool is not None:
            pool = layers.MaxPooling2D(config.max_pool, dtype=self.dtype, name="heatmap_max_pool")
            x = pool(x)
        return x

    def _residual(self, x: Any, block: str, depth: int, units: int) -> Any:
        """Add post-activation bottlenecks; the first halves the map and projects its shortcut."""
        wide = depth * self.config.enlarge
        for unit in range(1, units + 1):
            name, stride = f"{block}_unit{unit}", 2 if unit == 1 else 1
            shortcut = x
            if unit == 1:
                shortcut = self._convolution(x, f"{name}_shortcut", wide, 1, 2)
            y = self._convolution(x, f"{name}_1", depth, 1, stride)
            y = self._activation(y, f"{name}_1")
            y = self._convolution(y, f"{name}_2", depth, 3)
            y = self._activation(y, f"{name}_2")
            y = self._convolution(y, f"{name}_3", wide, 1)
            x = layers.Add(dtype=self.dtype, name=f"{name}_add")([shortcut, y])
            x = self._activation(x, name)
        return x

    def _vgg(self, x: Any, block: str, depth: int, units: int) -> Any:
        """Add 3x3 convolutions, then a 2x2 max pool."""
        for unit in range(1, units + 1):
            name = f"{block}_unit{unit}"
            x = self._activation(self._convolution(x, name, depth, 3), name)
        return layers.MaxPooling2D(2, dtype=self.dtype, name=f"{block}_pool")(x)

    def _mbconv(self, x: Any, block: str, depth: int, units: int) -> Any:
        """Add inverted bottlenecks (Tan and Le 2019, table 1); the first halves the map.

        The map is padded by a cell on each side, as in Petrini and Kim 2022 and 2025.
        """
        wide = depth * self.config.enlarge
        for unit in range(1, units + 1):
            name, stride = f"{block}_unit{unit}", 2 if unit == 1 else 1
            y = self._pointwise(x, f"{name}_expand", wide)
            y = layers.ZeroPadding2D(1, dtype=self.dtype, name=f"{name}_pad")(y)
            y = layers.DepthwiseConv2D(
                3,
                strides=stride,
                use_bias=False,
                depthwise_initializer=self._initializer(f"{name}_depthwise"),
                dtype=self.dtype,
                name=f"{name}_depthwise",
            )(y)
            y = self._normalized(y, f"{name}_depthwise")
            y = self._activation(y, f"{name}_depthwise", "silu")
            y = self._excited(y, name, wide, max(depth // 4, 1))
            y = self._pointwise(y, f"{name}_project", depth, activation=None)
            x = layers.Add(dtype=self.dtype, name=f"{name}_add")([x, y]) if unit > 1 else y
        return x

    def _pointwise(self, x: Any, name: str, filters: int, activation: str | None = "silu") -> Any:
        x = layers.Conv2D(
            filters,
            1,
            use_bias=False,
            kernel_initializer=self._initializer(name),
            dtype=self.dtype,
            name=f"{name}_conv",
        )(x)
        x = self._normalized(x, name)
        return x if activation is None else self._activation(x, name, activation)

    def _excited(self, x: Any, name: str, filters: int, squeezed: int) -> Any:
        """Weigh the channels by what all positions show."""
        weights = layers.GlobalAveragePooling2D(
            keepdims=True, dtype=self.dtype, name=f"{name}_squeeze"
        )(x)
        for part, count, activation in (
            ("reduce", squeezed, "silu"),
            ("excite", filters, "sigmoid"),
        ):
            weights = layers.Conv2D(
                count,
                1,
                activation=activation,
                kernel_initializer=self._initializer(f"{name}_{part}"),
                dtype=self.dtype,
                name=f"{name}_{part}",
            )(weights)
        return layers.Multiply(dtype=self.dtype, name=f"{name}_excited")([x, weights])

    def _dense(self, x: Any) -> Any:
        """Add dense layers, each with half the units of the previous one."""
        flat = layers.Flatten(dtype=self.dtype, name="head_flatten")(x)
        x = self._dropout(flat, "head_flatten")
        for number, units in enumerate(self.config.fc_units, start=1):
            name = f"head_fc{number}"
            initializer = self._initializer(f"{name}_dense")
            x = layers.Dense(
                units, kernel_initializer=initializer, dtype=self.dtype, name=f"{name}_dense"
            )(x)
            x = self._activation(self._normalized(x, name), name)
        return (x, flat) if self.config.shortcut else x

    def _convolution(self, x: Any, name: str, filters: int, size: int, stride: int = 1) -> Any:
        x = layers.Conv2D(
            filters,
            size,
            strides=stride,
            padding="same",
            kernel_initializer=self._initializer(name),
            dtype=self.dtype,
            name=f"{name}_conv",
        )(x)
        return self._normalized(x, name)

    def _normalized(self, x: Any, name: str) -> Any:
        return layers.BatchNormalization(
            momentum=self.config.momentum, dtype=self.dtype, name=f"{name}_bn"
        )(x)

    def _activation(self, x: Any, name: str, function: str = "relu") -> Any:
        x = layers.Activation(function, dtype=self.dtype, name=f"{name}_{function}")(x)
        return self._dropout(x, name)

    def _dropout(self, x: Any, name: str) -> Any:
        if not self.config.dropout:
            return x
        name = f"{name}_dropout"
        seed = layer_seed(self.seed, name)
        return layers.Dropout(self.config.dropout, seed=seed, dtype=self.dtype, name=name)(x)

    def _initializer(self, name: str) -> Any:
        return keras.initializers.HeNormal(layer_seed(self.seed, name))
