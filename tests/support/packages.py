"""Model packages of untrained networks."""

from pathlib import Path
from typing import Any


def build_two_views(folder: Path, seed: int = 1, **changes: Any) -> Path:
    """Build a package of an untrained network that sees both views of a breast.

    Args:
        folder: The package's folder; must not exist.
        seed: Seed of the weights.
        changes: Other arguments of `mammo_core.packaging.build`.

    Returns:
        The folder.
    """
    from mammo_core.packaging import build
    from mammo_core.packaging.keras_file import import_keras
    from mammo_core.preprocessing import Geometry, Preprocessing

    import_keras()
    from mammo_core.models import (
        HeadConfig,
        NetworkConfig,
        TwoViewConfig,
        build_patch_network,
        to_two_views,
        to_whole_image,
    )

    patches = build_patch_network(NetworkConfig(name="compact"), (32, 32), 5, seed=seed)
    head = HeadConfig(depths=(8,), repetitions=(1,))
    whole = to_whole_image(patches, head, (64, 48), classes=2, seed=seed)
    arguments = {
        "name": "two-views",
        "image_model": to_two_views(whole, TwoViewConfig(towers="separate")),
        "preprocessing": Preprocessing(geometry=Geometry(height=64, width=48), mean=100.0),
        "label_map": {"neg": 0, "pos": 1},
    }
    build(folder, **{**arguments, **changes})
    return folder


def build_small(
    folder: Path, seed: int = 1, size: tuple[int, int] = (48, 36), **changes: Any
) -> Path:
    """Build a package of an untrained network whose probability depends on the pixels.

    Args:
        folder: The package's folder; must not exist.
        seed: Seed of the weights.
        size: Height and width of its images, pixels.
        changes: Other arguments of `mammo_core.packaging.build`.

    Returns:
        The folder.
    """
    from mammo_core.packaging import build
    from mammo_core.packaging.keras_file import import_keras
    from mammo_core.preprocessing import Geometry, Preprocessing

    keras = import_keras()
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    image = keras.Input((*size, 1))
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(image)
    x = keras.layers.GlobalMaxPooling2D()(x)
    x = keras.layers.LayerNormalization()(x)
    arguments = {
        "name": f"small-{seed}",
        "image_model": keras.Model(image, keras.layers.Dense(2, activation="softmax")(x)),
        "preprocessing": Preprocessing(
            geometry=Geometry(height=size[0], width=size[1]), mean=100.0
        ),
        "label_map": {"neg": 0, "pos": 1},
    }
    build(folder, **{**arguments, **changes})
    return folder
