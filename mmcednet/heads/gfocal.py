"""The head of Generalized Focal Loss V2 (Li et al., CVPR 2021)."""

from typing import Any

import torch
from mmdet.models.dense_heads import GFLHead
from mmdet.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class GFocalHead(GFLHead):
    """GFLHead whose scores are multiplied by a quality, predicted from the distributions of the box.

    A small network, shared by all levels, takes the largest probabilities of each side's distribution,
    and their mean (section 3.2). Scores are returned as logits of the product, so that the losses and
    the predictions are those of GFLHead.

    Args:
        reg_topk: Probabilities of each side, from the largest on. Default: 4.
        reg_channels: Hidden channels of the network. Default: 64.
        kwargs: Arguments of mmdet's ``GFLHead``.

    Raises:
        ValueError: ``reg_topk`` is not between 1 and the length of a distribution, ``reg_max`` + 1.
    """

    def __init__(self, *args: Any, reg_topk: int = 4, reg_channels: int = 64, **kwargs: Any) -> None:
        self.reg_topk = reg_topk  # the constructor of GFLHead builds the layers
        self.reg_channels = reg_channels
        super().__init__(*args, **kwargs)

    def _init_layers(self) -> None:
        super()._init_layers()
        if not 1 <= self.reg_topk <= self.reg_max + 1:
            raise ValueError(f'reg_topk {self.reg_topk} must be between 1 and {self.reg_max + 1}')
        self.reg_conf = nn.Sequential(
            nn.Conv2d(4 * (self.reg_topk + 1), self.reg_channels, 1),
            nn.ReLU(),
            nn.Conv2d(self.reg_channels, 1, 1),
        )

    def forward_single(self, x: Tensor, scale: nn.Module) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) -> scores (N, classes, H, W) and distributions (N, 4 * (reg_max + 1), H, W)."""
        scores, distributions = super().forward_single(x, scale)
        probs = distributions.unflatten(1, (4, self.reg_max + 1)).softmax(dim=2)
        largest = probs.topk(self.reg_topk, dim=2).values
        statistics = torch.cat([largest, largest.mean(dim=2, keepdim=True)], dim=2)
        quality = self.reg_conf(statistics.flatten(1, 2))
        return multiply_probabilities(scores.float(), quality.float()), distributions


def multiply_probabilities(a: Tensor, b: Tensor) -> Tensor:
    """Logit of sigmoid(a) * sigmoid(b), also where the product rounds to 0 or 1."""
    return -torch.logaddexp(torch.logaddexp(-a, -b), -a - b)
