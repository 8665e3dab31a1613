"""Loads the backbone's weights from a checkpoint of any model that contains it."""

import logging
from collections.abc import Iterable, Sequence

from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmengine.runner import CheckpointLoader
from torch import Tensor

BACKBONE = 'backbone.'
CONVERT = 'with mmcednet official-cednet, convnext-to-cednet or baselines'


class WeightsError(ValueError):
    """A checkpoint's weights do not fit; the message is one sentence that names the file."""


class PretrainedBackbone(BaseModule):
    """Base of backbones: ``init_cfg`` of type 'Pretrained' is :func:`load_pretrained`.

    ``dict(type='Pretrained', checkpoint=...)`` may name the checkpoint of any model that contains the
    backbone; ``prefix`` and ``average`` are passed on.

    Attributes:
        needs_pretraining: Whether published detectors and segmenters start from pre-trained weights.
    """

    needs_pretraining = True

    def __init__(self, init_cfg: dict | Sequence[dict] | None = None) -> None:
        """
        Args:
            init_cfg: Initialization config of mmengine. Default: None.

        Raises:
            ValueError: It is a list with 'Pretrained' among others.
        """
        if isinstance(init_cfg, Sequence):
            if len(init_cfg) > 1 and any(item['type'] == 'Pretrained' for item in init_cfg):
                raise ValueError(f"init_cfg {init_cfg} has 'Pretrained', which must be the only one")
            init_cfg = init_cfg[0] if len(init_cfg) == 1 else init_cfg
        super().__init__(init_cfg)

    def init_weights(self) -> None:
        """Load the checkpoint of ``init_cfg``, if any; the constructor has initialised the weights."""
        if isinstance(self.init_cfg, dict) and self.init_cfg['type'] == 'Pretrained':
            settings = {
                key: self.init_cfg[key] for key in ('prefix', 'average') if key in self.init_cfg
            }
            load_pretrained(self, self.init_cfg['checkpoint'], **settings)
            self.is_init = True
        else:
            super().init_weights()

    def adapt_weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Change weights whose shapes depend on settings; called before a checkpoint is loaded.

        Args:
            weights: By our names, without a prefix.
        """
        return weights


def load_pretrained(
    module: PretrainedBackbone, checkpoint: str, prefix: str | None = None, average: bool = False
) -> None:
    """Load the weights of ``module`` from ``checkpoint``; log missing and unexpected keys.

    Args:
        module: The backbone.
        checkpoint: File, URL or other address that mmengine's loader accepts, with the weights at the
            top level or under 'state_dict' or 'model'.
        prefix: Prefix of the backbone's keys in the checkpoint. Default: 'backbone.' if any key has
            it, otherwise none.
        average: Load the moving average of the weights, if the checkpoint has both; the paper's models
            start from the weights themselves. Default: False.

    Raises:
        WeightsError: The checkpoint contains none of the weights, or a weight of another shape.
    """
    loaded = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    source = get_state_dict(loaded) if average else get_raw_state_dict(loaded)
    if 'ema_state_dict' in loaded:
        kind = (
            'the moving average of the weights' if average else 'the weights, not their moving average'
        )
        print_log(f'{checkpoint} has a moving average: loading {kind}', 'current')
    if prefix is None:
        prefix = BACKBONE if any(key.startswith(BACKBONE) for key in source) else ''
    elif not prefix.endswith('.'):
        prefix += '.'
    weights = {
        key.removeprefix(prefix): value for key, value in source.items() if key.startswith(prefix)
    }
    target = module.state_dict()
    found = module.adapt_weights({key: value for key, value in weights.items() if key in target})
    if not found:
        raise WeightsError(
            f'{checkpoint} contains no weights of {type(module).__name__} (its first keys: '
            f'{", ".join(list(source)[:3])}); convert published checkpoints first, {CONVERT}'
        )
    check_shapes(found, target, checkpoint, prefix)
    module.load_state_dict(found, strict=False)
    missing = sorted(target.keys() - found.keys())
    print_log(f'Loaded {len(found)} of {len(target)} tensors from {checkpoint}', 'current')
    if len(found) < len(missing):
        print_log(
            f'{checkpoint} lacks most weights of {type(module).__name__}; convert published '
            f'checkpoints first, {CONVERT}',
            'current',
            logging.WARNING,
        )
    if missing:
        print_log(f'Missing keys, left at their initialisation: {summarize_keys(missing)}', 'current')
    unexpected = sorted(weights.keys() - found.keys())
    if unexpected:
        print_log(f'Unexpected keys, ignored: {summarize_keys(unexpected)}', 'current')


def get_state_dict(checkpoint: dict) -> dict[str, Tensor]:
    """The weights of a loaded checkpoint, without the prefix 'module.' of parallel models.

    Args:
        checkpoint: Weights, at the top level or under 'state_dict' or 'model'.
    """
    for key in ('state_dict', 'model'):
        if isinstance(checkpoint.get(key), dict):
            checkpoint = checkpoint[key]
    return {
        key.removeprefix('module.'): value
        for key, value in checkpoint.items()
        if isinstance(value, Tensor)
    }


def get_raw_state_dict(checkpoint: dict) -> dict[str, Tensor]:
    """The weights of a loaded checkpoint, not their moving average.

    mmengine's ``EMAHook`` saves the average under 'state_dict', and the weights under 'ema_state_dict'
    with the prefix 'module.' and a counter 'steps'.

    Args:
        checkpoint: As for :func:`get_state_dict`.
    """
    if 'ema_state_dict' not in checkpoint:
        return get_state_dict(checkpoint)
    weights = dict(checkpoint['ema_state_dict'])
    weights.pop('steps', None)
    return get_state_dict(weights)


def check_shapes(
    weights: dict[str, Tensor], target: dict[str, Tensor], checkpoint: str, prefix: str = ''
) -> None:
    """Check that ``weights`` have the shapes of the model's.

    Args:
        weights: Weights of a checkpoint; all their keys are in ``target``.
        target: Weights of the model.
        checkpoint: Name of the checkpoint, for the message.
        prefix: Prefix of the keys in the checkpoint, for the message. Default: ''.

    Raises:
        WeightsError: A weight has another shape.
    """
    for key, value in weights.items():
        if value.shape != target[key].shape:
            raise WeightsError(
                f'{checkpoint} does not fit the model: {prefix}{key} has shape {tuple(value.shape)}, '
                f'the model needs {tuple(target[key].shape)}'
            )


def summarize_keys(keys: Iterable[str]) -> str:
    """Count keys by their first three parts: 'pyramid.extras.0.* (4), ...'."""
    counts: dict[str, int] = {}
    for key in keys:
        group = '.'.join(key.split('.')[:3])
        counts[group] = counts.get(group, 0) + 1
    return ', '.join(f'{group}.* ({n})' if n > 1 else group for group, n in counts.items())
