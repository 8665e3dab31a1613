"""Pre-flight check of a checkpoint: that it has all weights of the model."""

from mmengine.runner import CheckpointLoader
from torch import nn

from mmcednet.models.pretrained import check_shapes, get_state_dict

from .unwrap import unwrap_model


def check_checkpoint(model: nn.Module, checkpoint: str) -> None:
    """Check that a checkpoint is one of ``model``; mmengine would run with random weights otherwise.

    Args:
        model: The runner's model.
        checkpoint: File, or another address that mmengine's loader accepts.

    Raises:
        ValueError: A weight is missing or has another shape.
    """
    found = get_state_dict(CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu'))
    target = unwrap_model(model).state_dict()
    check_shapes({key: found[key] for key in target if key in found}, target, checkpoint)
    for key in target:
        if key not in found:
            raise ValueError(f'{checkpoint} is not a checkpoint of this model: {key} is missing')
