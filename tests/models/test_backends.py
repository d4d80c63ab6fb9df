"""The same file and input give the same output on TensorFlow and on JAX.

Models are saved here and loaded in another process, in safe mode, on the other backend.
`make verify-networks` compares every network; otherwise one of each kind of layers is compared.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np
import pytest

from mammo_core.models import (
    NETWORKS,
    HeadConfig,
    HeatmapConfig,
    NetworkConfig,
    TwoViewConfig,
    build_patch_network,
    fully_convolutional,
    leaf_layers,
    network_of,
    save_model,
    to_two_views,
    to_whole_image,
)
from mammo_core.models.precision import with_precision

TOLERANCE = 1e-4
#: Networks made of layers that another has too: that one is compared in each run of the tests.
ALIKE = {
    "vgg19": "vgg16",
    "resnet50": "resnet50_keras2",
    "efficientnetv2_m": "efficientnetv2_s",
    **{f"efficientnet_b{n}{form}": "efficientnet_b0" for n in (3, 5) for form in ("", "_torch")},
    **{
        f"convnext_{s}{form}": "convnext_tiny" for s in ("small", "base") for form in ("", "_torch")
    },
    "efficientnet_b0_torch": "efficientnet_b0",
    "convnext_tiny_torch": "convnext_tiny",
}
WHOLE = os.environ.get("MAMMO_VERIFY_NETWORKS") == "1"
# XLA compiles every network for one prediction; without optimizations that takes half the time.
QUICK_XLA = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
_OTHER = """
import json, sys
from pathlib import Path
import numpy as np
import keras
from mammo_core.models import load_model
from tests.support.undrawn import draw_no_weights
draw_no_weights()
assert keras.backend.backend() == sys.argv[2], keras.backend.backend()
folder = Path(sys.argv[1])
for path in sorted(folder.glob("*.keras")):
    stored = np.load(path.with_suffix(".npz"))
    model = load_model(path)
    inputs = [stored[name] for name in sorted(stored)]
    outputs = model.predict_on_batch(inputs if len(inputs) > 1 else inputs[0])
    outputs = outputs if isinstance(outputs, list) else [outputs]
    np.savez(path.with_suffix(".outputs.npz"), *outputs)
print(json.dumps({"tensorflow": "tensorflow" in sys.modules}))
"""

SMALL = HeatmapConfig(average_pool=(2, 2), max_pool=(2, 2))
HEADS = {
    "residual": HeadConfig(depths=(8, 8), repetitions=(1, 2), dropout=0.2),
    "vgg": HeadConfig(kind="vgg", depths=(8,), repetitions=(2,)),
    "mbconv": HeadConfig(kind="mbconv", depths=(8,), repetitions=(2,)),
    "fc": HeadConfig(kind="fc", units=64),
    "fc-shortcut": HeadConfig(kind="fc", units=64, shortcut=True),
    "heatmap-fc-shortcut": HeadConfig(kind="fc", units=64, shortcut=True, heatmap=SMALL),
    "heatmap-vgg": HeadConfig(kind="vgg", depths=(8,), repetitions=(1,), heatmap=SMALL),
    "heatmap-softmax-residual": HeadConfig(
        depths=(8,),
        repetitions=(1,),
        heatmap=SMALL.model_copy(update={"activation": "softmax"}),
    ),
}


def randomize_statistics(model: keras.Model) -> keras.Model:
    """Give normalizations different weights, as after training."""
    rng = np.random.default_rng(0)
    for layer in leaf_layers(model):
        if isinstance(layer, (keras.layers.BatchNormalization, keras.layers.LayerNormalization)):
            layer.set_weights([rng.uniform(0.7, 1.3, w.shape) for w in layer.get_weights()])
    return model


def patch(name: str) -> keras.Model:
    base, _, topology = name.rpartition("_")
    if topology not in ("keras2", "torch"):
        base, topology = name, "today"
    config = NetworkConfig(name=base, topology=topology, dropout=0.3)  # type: ignore[arg-type]
    return randomize_statistics(build_patch_network(config, (256, 256), 5, seed=1))


def with_features(model: keras.Model) -> keras.Model:
    """Return the features too: probabilities of random weights hide differences."""
    feature = model.get_layer(network_of(model).feature).output
    return keras.Model(model.inputs, [*model.outputs, feature], name=model.name)


def whole(head: HeadConfig) -> keras.Model:
    return with_features(
        randomize_statistics(to_whole_image(patch("compact"), head, (128, 96), classes=3))
    )


def two_views(towers: str) -> keras.Model:
    single = randomize_statistics(to_whole_image(patch("compact"), HEADS["residual"], (64, 64)))
    return to_two_views(single, TwoViewConfig(towers=towers))  # type: ignore[arg-type]


def compare(folder: Path, builders: Mapping[str, Callable[[], keras.Model]]) -> dict[str, float]:
    """Run models on both backends.

    Returns:
        The largest difference of each, of probabilities, or of features in units of the
        largest feature.
    """
    expected = {}
    for name, build in builders.items():
        model, rng = build(), np.random.default_rng(2)
        arrays = {}
        for number, tensor in enumerate(model.inputs):
            shape = [side or NETWORKS[network_of(model).name].minimum for side in tensor.shape[1:]]
            # A scale that keeps the probabilities away from 0 and 1.
            size = 1 if shape[-1] == 1 else 30
            arrays[f"{number}"] = rng.normal(0, size, (2, *shape)).astype(np.float32)
        if len(arrays) == 2:
            arrays["1"][1] = 0  # a missing view
        np.savez(folder / f"{name}.npz", **arrays)
        save_model(model, folder / f"{name}.keras")
        inputs = list(arrays.values())
        outputs = model(inputs if len(inputs) > 1 else inputs[0], training=False)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        expected[name] = [keras.ops.convert_to_numpy(part) for part in outputs]
    other = "jax" if keras.backend.backend() == "tensorflow" else "tensorflow"
    environment = {
        **os.environ,
        "KERAS_BACKEND": other,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "XLA_FLAGS": QUICK_XLA,
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    done = subprocess.run(
        [sys.executable, "-c", _OTHER, str(folder), other],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    # The library itself does not import TensorFlow.
    assert json.loads(done.stdout)["tensorflow"] == (other == "tensorflow")
    differences = {}
    for name, parts in expected.items():
        outputs = np.load(folder / f"{name}.outputs.npz")
        worst = 0.0
        for part, array in zip(parts, outputs.files, strict=True):
            assert np.isfinite(part).all() and np.ptp(part) > 0, name
            scale = max(1.0, float(np.abs(part).max()))
            worst = max(worst, float(np.abs(part - outputs[array]).max()) / scale)
        differences[name] = worst
    return differences


@pytest.mark.slow
def test_heads_and_two_views(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    builders: dict[str, Callable[[], keras.Model]] = {
        name: lambda head=head: whole(head)  # type: ignore[misc]
        for name, head in HEADS.items()
    }
    for name in ("compact", "yaroslav", "vgg16"):
        builders[name] = lambda name=name: with_features(patch(name))  # type: ignore[misc]
    for towers in ("shared", "separate"):
        builders[f"two-view-{towers}"] = lambda towers=towers: two_views(towers)  # type: ignore[misc]
    builders["heatmap"] = lambda: fully_convolutional(patch("compact"), 16)
    differences = compare(tmp_path, builders)
    assert max(differences.values()) < TOLERANCE, differences


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_every_network(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    names = sorted(set(NETWORKS) - {"compact", "yaroslav", "vgg16"} - set({} if WHOLE else ALIKE))
    builders: dict[str, Callable[[], keras.Model]] = {
        name: lambda name=name: with_features(patch(name))  # type: ignore[misc]
        for name in names
    }
    differences = compare(tmp_path, builders)
    assert max(differences.values()) < TOLERANCE, differences


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(precision: str, tmp_path: Path) -> None:
    """Both backends load the file; 16-bit sums depend on their order, so not to 1e-4."""
    pytest.importorskip("jax")
    builders: dict[str, Callable[[], keras.Model]] = {
        "whole": lambda: with_precision(
            to_whole_image(patch("compact"), HEADS["residual"], (128, 96)),
            precision,  # type: ignore[arg-type]
        ),
        "two-view": lambda: with_precision(two_views("shared"), precision),  # type: ignore[arg-type]
    }
    differences = compare(tmp_path, builders)
    assert max(differences.values()) < 0.03, differences
