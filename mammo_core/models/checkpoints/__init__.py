"""Checkpoints of PyTorch and safetensors files, read without running anything in them."""

from mammo_core.models.checkpoints.checkpoint import Checkpoint, read_checkpoint
from mammo_core.models.checkpoints.tensors import CheckpointError

__all__ = ["Checkpoint", "CheckpointError", "read_checkpoint"]
