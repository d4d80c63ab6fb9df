"""Record what PyTorch's networks compute from weights that their names determine.

In an environment of its own, with torch, torchvision, timm and a checkout of
https://github.com/dpetrini/multiple-view:

    python -m tests.models.checkpoints.record_torch CHECKOUT

writes `files/torch.json`, which `test_names.py` and `tests/packaging/test_torch_models.py` compare.
"""

import json
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np

from tests.models.checkpoints.seeded import image, values

FILE = Path(__file__).parent / "files" / "torch.json"
SIZE = (64, 96)
BREAST = (128, 96)
#: What the names of tensors of both views begin with; others are aliases, or not used.
USED = ("two_views_clf.single_clf_core.", "block", "fc.")


def main(checkout: str) -> None:
    import timm
    import torch
    import torchvision
    from torch import nn

    sys.path.insert(0, checkout)
    from efficientnet_pytorch import EfficientNet
    from two_views_net_2024 import SideMIDBreastModel

    def weighted(model):
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                # Of the several names of a shared layer the last one counts: that of the core.
                tensor.copy_(torch.from_numpy(values(name, tuple(tensor.shape))))
        return model.eval()

    def features(model, call):
        x = torch.from_numpy(image(*SIZE, seed=0).transpose(2, 0, 1))[None]
        with torch.no_grad():
            y = call(weighted(model))(x)[0].numpy()
        # Every 64th channel at each position, rows first.
        return [[round(float(v), 6) for v in row.ravel()] for row in y[::64]]

    maps = {}
    for size in ("b0", "b3"):
        network = getattr(torchvision.models, f"efficientnet_{size}")()
        maps[f"torchvision efficientnet_{size}_torch"] = features(network, lambda m: m.features)
        for prefix, form in (("", "_torch"), ("tf_", "")):
            network = timm.create_model(f"{prefix}efficientnet_{size}")
            maps[f"timm efficientnet_{size}{form}"] = features(
                network, lambda m: m.forward_features
            )
    network = EfficientNet.from_name("efficientnet-b0", num_classes=5)
    maps["EfficientNet-PyTorch efficientnet_b0"] = features(network, lambda m: m.extract_features)
    for size in ("tiny", "small"):
        network = timm.create_model(f"convnext_{size}")
        maps[f"timm convnext_{size}_torch"] = features(
            network, lambda m: nn.Sequential(m.stem, m.stages)
        )
    published = {}
    for name, network, kind, data in (
        ("petrini-2022-efficientnet-b0", "EfficientNet-b0", "old", "CBIS-DDSM"),
        ("petrini-2025-efficientnet-b3", "EfficientNet-b3", "PBC", "CBIS-DDSM"),
        ("petrini-2025-convnext-base", "convnext_base", "PBC", "VINDR-MAMMO"),
    ):
        published[name] = both_views(SideMIDBreastModel, weighted, network, kind, data)
    versions = {each.__name__: each.__version__ for each in (torch, torchvision, timm)}
    content = {"versions": versions, "maps": maps, "published": published}
    FILE.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def both_views(build, weighted, network, kind, data):
    """What the last layer of a network takes, of two breasts, prepared as its authors do.

    Probabilities of random weights are near 0 or 1 whatever the image.
    """
    import torch
    from single_full_net_2024 import SingleBreastClassifier

    with tempfile.TemporaryDirectory() as folder:
        single = Path(folder) / "single.pt"
        torch.save(SingleBreastClassifier(network, kind, data).state_dict(), single)
        model = weighted(
            build(torch.device("cpu"), single, network, 2, "mbconv", True, 2, kind, data)
        )
    names = sorted(n for n in model.state_dict() if n.startswith(USED) and "_tracked" not in n)
    rows, taken = [], []
    model.fc.register_forward_hook(lambda _, inputs, __: taken.append(inputs[0][0].numpy()))
    for views in gray_images():
        parts = []
        for gray in views:
            x = np.stack([gray] * 3).astype(np.float32)
            if data == "CBIS-DDSM":
                x = (x - 13369) / 65535
            else:
                x = x / 65535
                x = (x - x.mean()) / max(x.std(), 1e-5)
            parts.append(torch.from_numpy(x.astype(np.float32)))
        with torch.no_grad():
            model(torch.cat(parts)[None])
        rows.append([round(float(v), 6) for v in taken[-1][::32]])
    return {"features": rows, "names": len(names), "crc32": zlib.crc32("\n".join(names).encode())}


def gray_images():
    """Return `(2, 2, 128, 96)` uint16: the views of two breasts."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 65536, (2, 2, *BREAST))
    images[1, 0, :, :40] = 0
    return (images // np.array([1, 4]).reshape(2, 1, 1, 1)).astype(np.uint16)


if __name__ == "__main__":
    main(sys.argv[1])
