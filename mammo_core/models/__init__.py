"""Networks: patch classifiers, their conversion to whole images, and heatmaps.

Keras is imported on first use, so that reading a recipe stays fast.
"""

from typing import TYPE_CHECKING

from mammo_core.lazy import import_lazily

if TYPE_CHECKING:
    from mammo_core.models.build import blocks, build_patch_network
    from mammo_core.models.config import HeadConfig, HeatmapConfig, NetworkConfig, TwoViewConfig
    from mammo_core.models.description import describe
    from mammo_core.models.graph import leaf_layers
    from mammo_core.models.heatmaps.edges import extended_heatmap
    from mammo_core.models.heatmaps.fully_convolutional import fully_convolutional
    from mammo_core.models.heatmaps.grid import Heatmap
    from mammo_core.models.heatmaps.one_pass import coordinates, heatmap, image_heatmap
    from mammo_core.models.heatmaps.sliding_window import (
        original_heatmap,
        sliding_window,
        window_grid,
    )
    from mammo_core.models.keras2.model import Keras2Report, import_keras2
    from mammo_core.models.precision import with_precision
    from mammo_core.models.registry import (
        NETWORKS,
        Application,
        Network,
        Window,
        network_names,
        network_of,
        register_network,
    )
    from mammo_core.models.storage import load_model, save_model
    from mammo_core.models.two_view import breast_batch, to_two_views, two_view_config
    from mammo_core.models.whole_image import to_whole_image

__all__ = [
    "NETWORKS",
    "Application",
    "HeadConfig",
    "Heatmap",
    "HeatmapConfig",
    "Keras2Report",
    "Network",
    "NetworkConfig",
    "TwoViewConfig",
    "Window",
    "blocks",
    "breast_batch",
    "build_patch_network",
    "coordinates",
    "describe",
    "extended_heatmap",
    "fully_convolutional",
    "heatmap",
    "image_heatmap",
    "import_keras2",
    "leaf_layers",
    "load_model",
    "network_names",
    "network_of",
    "original_heatmap",
    "register_network",
    "save_model",
    "sliding_window",
    "to_two_views",
    "to_whole_image",
    "two_view_config",
    "window_grid",
    "with_precision",
]

import_lazily(
    __name__,
    {
        "build": ["blocks", "build_patch_network"],
        "config": ["HeadConfig", "HeatmapConfig", "NetworkConfig", "TwoViewConfig"],
        "description": ["describe"],
        "graph": ["leaf_layers"],
        "heatmaps.edges": ["extended_heatmap"],
        "heatmaps.fully_convolutional": ["fully_convolutional"],
        "heatmaps.grid": ["Heatmap"],
        "heatmaps.one_pass": ["coordinates", "heatmap", "image_heatmap"],
        "heatmaps.sliding_window": ["original_heatmap", "sliding_window", "window_grid"],
        "keras2.model": ["Keras2Report", "import_keras2"],
        "precision": ["with_precision"],
        "registry": [
            "NETWORKS",
            "Application",
            "Network",
            "Window",
            "network_names",
            "network_of",
            "register_network",
        ],
        "storage": ["load_model", "save_model"],
        "two_view": ["breast_batch", "to_two_views", "two_view_config"],
        "whole_image": ["to_whole_image"],
    },
)
