"""Checks of a checkpoint."""

from mmengine.runner import CheckpointLoader
from torch import nn

from mmcednet.models.pretrained import get_state_dict

from .unwrap import unwrap_model


def check_checkpoint(model: nn.Module, checkpoint: str) -> None:
    """Check that a checkpoint is one of ``model``, which would otherwise run with random weights.

    Raises:
        ValueError: It lacks weights of the model, or one is of another shape.
    """
    found = get_state_dict(CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu'))
    found = {key.removeprefix('module.'): value for key, value in found.items()}
    model = unwrap_model(model)
    for key, param in model.state_dict().items():
        if key not in found:
            raise ValueError(f'{checkpoint} is of another model: it has no {key}')
        if found[key].shape != param.shape:
            raise ValueError(
                f'{checkpoint} is of another size: its {key} is {tuple(found[key].shape)}, '
                f'the model needs {tuple(param.shape)}'
            )
