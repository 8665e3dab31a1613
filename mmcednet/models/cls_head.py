"""The classification head with a loss for every stage (deep supervision; paper, section 4.1)."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from .blocks import MIXERS
from .layers import EPS
from .utils import check_choice, init_layer

HIDDEN_CHANNELS = 2048
LOSS = dict(type='mmpretrain.LabelSmoothLoss', label_smooth_val=0.1, mode='original')


@MODELS.register_module()
class CEDNetClsHead(BaseModule):
    """Classification head on the coarsest level of every stage, for mmpretrain's ``ImageClassifier``.

    This is the released code's classifier, which the released checkpoints need; the paper's section 4.1
    has one head on the last stage, which is ``stage_weights=(0, ..., 0, 1)``.

    Each stage's e5 goes through conv1x1 to 2048 channels, norm, activation, global average pooling, LN
    and a linear layer. The losses of the stages are averaged; predictions are those of the last stage.

    Args:
        num_classes: Number of classes.
        in_channels: Channels C3 of the backbone.
        num_stages: Number m of the backbone's stages.
        mixer: Token mixer of the backbone, which determines norm and activation. Default: 'dwconv'.
        stage_weights: Weights of the stages' losses, first stage first. Default: 1 / m each, as in
            the released code by default; the name of a released file suggests (0.2, 0.3, 0.5).
        init_scale: Factor on the initial weights of the linear layers. Default: 1.
        loss: Config of an mmpretrain loss, applied to each stage. Default: cross entropy with label
            smoothing 0.1.
        init_cfg: Initialization config of mmengine. Default: None.

    Raises:
        ValueError: ``num_classes`` or ``num_stages`` is less than 1, the number of ``stage_weights``
            is not ``num_stages``, or ``mixer`` is unknown.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        num_stages: int,
        mixer: str = 'dwconv',
        stage_weights: Sequence[float] | None = None,
        init_scale: float = 1.0,
        loss: dict = LOSS,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if num_classes < 1 or num_stages < 1:
            raise ValueError(f'num_classes {num_classes} and num_stages {num_stages} must be 1 or more')
        if stage_weights is None:
            stage_weights = (1 / num_stages,) * num_stages
        if len(stage_weights) != num_stages:
            raise ValueError(
                f'stage_weights {stage_weights} must have {num_stages} values, one per stage'
            )
        layers = MIXERS[check_choice('mixer', mixer, MIXERS)]
        self.stage_weights = tuple(stage_weights)
        self.convs = nn.ModuleList(
            nn.Sequential(nn.Conv2d(in_channels, HIDDEN_CHANNELS, 1), layers.norm_act(HIDDEN_CHANNELS))
            for _ in stage_weights
        )
        self.act = layers.act()
        self.norms = nn.ModuleList(nn.LayerNorm(HIDDEN_CHANNELS, eps=EPS) for _ in stage_weights)
        fcs = [nn.Linear(HIDDEN_CHANNELS, num_classes) for _ in stage_weights]
        self.fcs = nn.ModuleList(fcs)
        self.loss_module = MODELS.build(loss)
        self.apply(init_layer)
        for fc in fcs:
            fc.weight.data.mul_(init_scale)

    def compute_stage_logits(self, feats: Sequence[Tensor]) -> list[Tensor]:
        """Compute the logits of every stage.

        Args:
            feats: e5 of every stage, (N, C3, H/32, W/32) each, last stage first, as the backbone
                returns them with ``out_levels=(5,), aux_stages=True, aux_level=5``.

        Returns:
            (N, num_classes) for each stage, first stage first.

        Raises:
            ValueError: The number of features is not the number of stages.
        """
        if len(feats) != len(self.fcs):
            raise ValueError(
                f'the head has {len(self.fcs)} stages but got {len(feats)} features; '
                f'the backbone needs out_levels=(5,), aux_stages=True, aux_level=5'
            )
        return [self._compute_logits(stage, e5) for stage, e5 in enumerate(reversed(feats))]

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Compute the last stage's logits, (N, num_classes).

        Args:
            feats: As for :meth:`compute_stage_logits`.
        """
        return self._compute_logits(len(self.fcs) - 1, feats[0])

    def _compute_logits(self, stage: int, e5: Tensor) -> Tensor:
        x = self.act(self.convs[stage](e5))
        return self.fcs[stage](self.norms[stage](x.mean((2, 3))))

    def loss(self, feats: Sequence[Tensor], data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """Compute the weighted loss of each stage; mmengine sums them.

        Args:
            feats: As for :meth:`compute_stage_logits`.
            data_samples: Data samples with ``gt_label``, or ``gt_score`` after mixup or cutmix.
        """
        if 'gt_score' in data_samples[0]:
            target = torch.stack([sample.gt_score for sample in data_samples])
        else:
            target = torch.cat([sample.gt_label for sample in data_samples])
        return {
            f'loss_stage{stage}': weight * self.loss_module(logits, target)
            for stage, weight, logits in zip(
                range(1, len(feats) + 1), self.stage_weights, self.compute_stage_logits(feats)
            )
        }

    def predict(self, feats: Sequence[Tensor], data_samples: Sequence[Any] | None = None) -> list[Any]:
        """Set score and label of the last stage in ``data_samples``, or in new ones; return them."""
        from mmpretrain.structures import DataSample

        scores = self(feats).softmax(1)
        if data_samples is None:
            data_samples = [None] * len(scores)
        samples = [DataSample() if sample is None else sample for sample in data_samples]
        for sample, score in zip(samples, scores):
            sample.set_pred_score(score).set_pred_label(score.argmax())
        return samples
