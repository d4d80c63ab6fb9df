"""Networks: patch classifiers, their conversion to whole images, and heatmaps.

Keras is imported on first use, so that reading a recipe stays fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mammo_core.models.config import HeadConfig, HeatmapConfig, NetworkConfig, TwoViewConfig
from mammo_core.models.registry import NETWORKS, Network, network_of

if TYPE_CHECKING:
    from mammo_core.models.description import describe
    from mammo_core.models.heatmaps import (
        coordinates,
        fully_convolutional,
        heatmap,
        image_heatmap,
    )
    from mammo_core.models.keras2.model import Keras2Report, import_keras2
    from mammo_core.models.leaves import leaf_layers
    from mammo_core.models.networks import blocks, build_patch_network
    from mammo_core.models.places import Heatmap
    from mammo_core.models.precision import with_precision
    from mammo_core.models.storage import load_model, save_model
    from mammo_core.models.two_view import exam_batch, to_two_views, two_view_config
    from mammo_core.models.whole_image import to_whole_image
    from mammo_core.models.windows import original_heatmap, sliding_window, window_grid

__all__ = [
    "NETWORKS",
    "HeadConfig",
    "Heatmap",
    "HeatmapConfig",
    "Keras2Report",
    "Network",
    "NetworkConfig",
    "TwoViewConfig",
    "blocks",
    "build_patch_network",
    "coordinates",
    "describe",
    "exam_batch",
    "fully_convolutional",
    "heatmap",
    "image_heatmap",
    "import_keras2",
    "leaf_layers",
    "load_model",
    "network_of",
    "original_heatmap",
    "save_model",
    "sliding_window",
    "to_two_views",
    "to_whole_image",
    "two_view_config",
    "window_grid",
    "with_precision",
]

_HOMES = {
    "Heatmap": "places",
    "Keras2Report": "keras2",
    "blocks": "networks",
    "build_patch_network": "networks",
    "coordinates": "heatmaps",
    "describe": "description",
    "exam_batch": "two_view",
    "fully_convolutional": "heatmaps",
    "heatmap": "heatmaps",
    "image_heatmap": "heatmaps",
    "import_keras2": "keras2",
    "leaf_layers": "leaves",
    "load_model": "storage",
    "original_heatmap": "windows",
    "save_model": "storage",
    "sliding_window": "windows",
    "to_two_views": "two_view",
    "to_whole_image": "whole_image",
    "two_view_config": "two_view",
    "with_precision": "precision",
    "window_grid": "windows",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
