"""Pre-flight check of a checkpoint: that it has all weights of the model, and the same classes."""

from collections.abc import Sequence

from torch import nn

from mmcednet.checkpoints.loading import load_checkpoint
from mmcednet.models.pretrained import check_shapes, get_state_dict
from mmcednet.wording import list_first

from .unwrap import unwrap_model

MAX_NAMED = 4  # classes in a message


def check_checkpoint(model: nn.Module, checkpoint: str) -> None:
    """Check that a checkpoint is one of ``model``; mmengine would run with random weights otherwise.

    Args:
        model: The runner's model.
        checkpoint: File, or another address that mmengine's loader accepts.

    Raises:
        ValueError: The file is not a checkpoint, or a weight is missing or has another shape.
        FileNotFoundError: The file does not exist.
    """
    check_weights(model, load_checkpoint(checkpoint), checkpoint)


def check_resumable(model: nn.Module, checkpoint: str) -> None:
    """Check that a training of ``model`` can be resumed from a checkpoint.

    Args:
        model: The runner's model.
        checkpoint: File, or another address that mmengine's loader accepts.

    Raises:
        ValueError: As for :func:`check_checkpoint`, or there is no training state.
        FileNotFoundError: The file does not exist.
    """
    loaded = load_checkpoint(checkpoint)
    check_weights(model, loaded, checkpoint)
    if 'message_hub' not in loaded:  # the only state that mmengine needs, and always saves
        raise ValueError(
            f'{checkpoint} has weights but no training state, so that it cannot be resumed; to start '
            f'from its weights, use --cfg-options load_from={checkpoint}'
        )


def check_pretrained(model: nn.Module) -> None:
    """Check that the files of initial weights, ``init_cfg`` of type 'Pretrained', can be read.

    Args:
        model: The runner's model.

    Raises:
        ValueError: A file is not a checkpoint, or could run code.
        FileNotFoundError: A file does not exist.
    """
    for module in unwrap_model(model).modules():
        init_cfg = getattr(module, 'init_cfg', None)
        for cfg in init_cfg if isinstance(init_cfg, list) else [init_cfg]:
            checkpoint = cfg.get('checkpoint') if isinstance(cfg, dict) else None
            if checkpoint and '://' not in checkpoint:  # addresses are loaded once, in the training
                load_checkpoint(checkpoint)


def check_weights(model: nn.Module, loaded: dict, checkpoint: str) -> None:
    """Check that a loaded checkpoint has all weights of ``model``, in their shapes.

    Args:
        model: The model, with or without wrappers.
        loaded: The checkpoint's content.
        checkpoint: Its name, for the message.

    Raises:
        ValueError: A weight is missing or has another shape.
    """
    found = get_state_dict(loaded)
    target = unwrap_model(model).state_dict()
    check_shapes({key: found[key] for key in target if key in found}, target, checkpoint)
    for key in target:
        if key not in found:
            raise ValueError(f'{checkpoint} is not a checkpoint of this model: {key} is missing')


def check_checkpoint_classes(found: Sequence[str], expected: Sequence[str], checkpoint: str) -> None:
    """Check that a checkpoint was trained on the classes of the config.

    Args:
        found: Classes of the checkpoint.
        expected: Classes of the config.
        checkpoint: Name of the checkpoint, for the message.

    Raises:
        ValueError: Their number, names or order differ.
    """
    if len(found) != len(expected):
        raise ValueError(
            f'{checkpoint} was trained on {len(found)} classes ({list_first(found, MAX_NAMED)}), '
            f'but the config has {len(expected)} ({list_first(expected, MAX_NAMED)})'
        )
    for index, (theirs, ours) in enumerate(zip(found, expected)):
        if theirs != ours:
            raise ValueError(
                f'{checkpoint} was trained on other classes: its class {index} is {theirs!r}, that of '
                f'the config {ours!r}'
            )
