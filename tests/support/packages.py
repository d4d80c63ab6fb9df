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
