"""Pre-flight check of a checkpoint: that it has all weights of the model."""

from mmengine.runner import CheckpointLoader
from torch import nn

from mmcednet.models.pretrained import get_state_dict

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
    found = {key.removeprefix('module.'): value for key, value in found.items()}
    for key, param in unwrap_model(model).state_dict().items():
        if key not in found:
            raise ValueError(f'{checkpoint} is not a checkpoint of this model: {key} is missing')
        if found[key].shape != param.shape:
            raise ValueError(
                f'{checkpoint} does not fit the model: {key} has shape {tuple(found[key].shape)}, '
                f'the model needs {tuple(param.shape)}'
            )
