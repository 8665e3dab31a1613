"""Folding of scales into the linear layers next to them, for deployment."""

import torch
from torch import nn

from .blocks import AttentionCEDBlock, CEDBlock
from .execution import has_original_layers
from .layers import MLP


@torch.no_grad()
def fuse(model: nn.Module) -> nn.Module:
    """Fold scales that are constant in inference into weights; outputs are equal up to rounding.

    In every block of CEDNet: layer scale (``gamma``) into the MLP's second linear layer; weight and
    bias of a LayerNorm directly before an MLP into its first one. The folded parameters become None, so
    load a checkpoint before. MLPs whose layers were replaced or have hooks stay as they are, and
    BatchNorm of the mixer 'conv' is left to ``mmcv.cnn.fuse_conv_bn``.

    Args:
        model: A CEDNet, or a detector, segmenter or classifier with one, in evaluation mode; changed in
            place. Fusing it again changes nothing.

    Returns:
        ``model``.

    Raises:
        ValueError: The model is in training mode.
    """
    if model.training:
        raise ValueError('fuse() is for inference: call model.eval() before it')
    for module in model.modules():
        if isinstance(module, CEDBlock):
            fold_norm(module.norm, module.mlp)
        elif isinstance(module, AttentionCEDBlock):
            # not norm1 into the mixer, which pads with zeros what has been normalised
            fold_norm(module.norm2, module.mlp)
        elif isinstance(module, MLP):
            fold_layer_scale(module)
    return model


def fold_norm(norm: nn.LayerNorm, mlp: MLP) -> None:
    """Fold weight and bias of ``norm`` into the first linear layer, which processes its output."""
    if norm.weight is None or not has_original_layers(mlp):
        return
    linear = mlp.pwconv1
    linear.bias.add_(linear.weight.double() @ norm.bias.double())
    linear.weight.mul_(norm.weight)
    norm.register_parameter('weight', None)
    norm.register_parameter('bias', None)


def fold_layer_scale(mlp: MLP) -> None:
    """Fold gamma into the second linear layer."""
    if mlp.gamma is None or not has_original_layers(mlp):
        return
    mlp.pwconv2.weight.mul_(mlp.gamma[:, None])
    mlp.pwconv2.bias.mul_(mlp.gamma)
    mlp.register_parameter('gamma', None)
