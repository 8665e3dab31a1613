"""A config in the making: bases, settings, and the reasons for them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .choices import Choice

T = TypeVar('T')
WARM_UP = 100  # iterations


class Expression(str):
    """Code that the config contains as it is, such as the name of a variable."""

    def __repr__(self) -> str:
        return str(self)


@dataclass
class Draft:
    """A config before it is written.

    Attributes:
        scope: Toolbox, 'mmdet', 'mmseg' or 'mmpretrain'.
        summary: What the data are.
        bases: Files of ``configs/_base_/``.
        settings: The config's variables.
        comments: Comments above settings, by dotted name.
        reasons: (setting, value, why) in the order in which they were chosen.
        epoch_length: Iterations of an epoch.
    """

    scope: str
    summary: str
    bases: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    reasons: list[tuple[str, str, str]] = field(default_factory=list)
    epoch_length: int = 0

    def explain(self, setting: str, value: object, reason: str) -> None:
        self.reasons.append((setting, str(value), reason))


def set_dataloaders(
    draft: Draft, splits: Mapping[str, T], batch_size: int, describe: Callable[[T], dict[str, Any]]
) -> None:
    """Set the data loaders; without a split for the test, it has that of the validation.

    Args:
        draft: The config, with ``classes``, ``data_root`` and the two pipelines.
        splits: 'train', 'val' and maybe 'test'.
        batch_size: Images per batch in training.
        describe: Where a split is, as settings of its dataset.
    """
    for name in ('train', 'val', 'test'):
        dataset = dict(
            data_root=Expression('data_root'),
            **describe(splits.get(name, splits['val'])),
            metainfo=dict(classes=Expression('classes')),
            pipeline=Expression('train_pipeline' if name == 'train' else 'test_pipeline'),
        )
        size = dict(batch_size=batch_size) if name == 'train' else {}
        draft.settings[f'{name}_dataloader'] = dict(**size, dataset=dataset)


def set_schedule(
    draft: Draft, epochs: Choice[int], batch_size: Choice[int], num_images: int, metric: str
) -> None:
    """Set the length of the training; the learning rate decays to 0 at its end.

    Args:
        draft: The config.
        epochs: Length of the training.
        batch_size: Images per batch.
        num_images: Images of an epoch.
        metric: By which the best checkpoint is kept, of those where more is better.
    """
    draft.epoch_length = math.ceil(num_images / batch_size.value)
    set_epochs(draft, epochs)
    draft.settings |= dict(
        default_hooks=dict(checkpoint=dict(max_keep_ckpts=1, save_best=metric, rule='greater')),
        auto_scale_lr=dict(base_batch_size=batch_size.value),
    )


def set_epochs(draft: Draft, epochs: Choice[int]) -> None:
    """Set the number of epochs, again if need be, warm-up and decay, and ten validations in them."""
    draft.reasons = [reason for reason in draft.reasons if reason[0] != 'epochs']
    draft.explain('epochs', epochs.value, epochs.reason)
    val_interval = compute_val_interval(epochs.value)
    warm_up = min(WARM_UP, max(1, epochs.value * draft.epoch_length // 2))  # of a short training less
    draft.settings |= dict(
        max_epochs=epochs.value,
        train_cfg=dict(max_epochs=Expression('max_epochs'), val_interval=val_interval),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=warm_up),
            dict(
                type='CosineAnnealingLR',
                eta_min=0,
                begin=0,
                end=Expression('max_epochs'),
                T_max=Expression('max_epochs'),
                convert_to_iter_based=True,
            ),
        ],
    )


def compute_val_interval(epochs: int) -> int:
    """Epochs from one validation to the next."""
    return max(1, epochs // 10)
