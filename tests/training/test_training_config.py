"""Training configs: defaults as in the paper, and no import of Keras."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from mammo_core.training import ImageTrainingConfig, PatchTrainingConfig, StageConfig


def test_the_papers_patch_stages() -> None:
    """Shen et al., Sci Rep 2019; docs/original-system.md, "Patch training"."""
    config = PatchTrainingConfig()
    assert [(s.train, s.learning_rate, s.epochs, s.optimizer) for s in config.stages] == [
        ("head", 1e-3, 3, "adam"),
        ("top", 1e-4, 10, "adam"),
        ("all", 1e-5, 37, "adam"),
    ]
    assert {s.weight_decay for s in config.stages} == {1e-4}
    assert (config.batch_size, config.network.dropout, config.selection) == (32, 0.5, "accuracy")
    assert not config.from_scratch


def test_the_papers_image_stages() -> None:
    config = ImageTrainingConfig()
    assert [(s.train, s.learning_rate, s.epochs, s.weight_decay) for s in config.stages] == [
        ("head", 1e-4, 30, 1e-3),
        ("all", 1e-5, 20, 1e-2),
    ]
    assert (config.batch_size, config.selection) == (2, "auc")


def test_configs_can_be_saved_as_json() -> None:
    for config in (PatchTrainingConfig(), ImageTrainingConfig()):
        assert type(config).model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize("wrong", [{"learning_rate": 0}, {"epochs": -1}, {"optimizer": "lion"}])
def test_invalid_stages_are_rejected(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        StageConfig.model_validate({"learning_rate": 1e-3, "epochs": 1, **wrong})


def test_configs_and_the_registry_do_not_import_keras() -> None:
    code = "import sys, mammo_core.training, mammo_core.models; sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_exports() -> None:
    import mammo_core.training as training

    assert all(hasattr(training, name) for name in training.__all__)
