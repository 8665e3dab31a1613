"""Operators that torch's exporter cannot translate for images of any size."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from onnxscript import opset18 as onnx_ops
from torch import Tensor, nn
from torchvision.ops import batched_nms

ALL_BOXES = 2**31 - 1


@torch.library.custom_op('mmcednet::nms', mutates_args=())
def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, score_threshold: float) -> Tensor:
    """Non-maximum suppression of each class, as ONNX's NonMaxSuppression.

    Args:
        boxes: (B, K, 4), x1, y1, x2, y2.
        scores: (B, C, K).
        iou_threshold: A box is suppressed by a better one of its class with a larger overlap.
        score_threshold: Only boxes with a larger score are kept.

    Returns:
        (kept, 3), int64: indices in the three dimensions of ``scores``.
    """
    kept = []
    for index in range(len(boxes)):
        classes, candidates = (scores[index] > score_threshold).nonzero().unbind(1)
        best = batched_nms(
            boxes[index][candidates], scores[index][classes, candidates], classes, iou_threshold
        )
        kept.append(torch.stack([torch.full_like(best, index), classes[best], candidates[best]], dim=1))
    return torch.cat(kept)


@nms.register_fake
def _(boxes: Tensor, scores: Tensor, iou_threshold: float, score_threshold: float) -> Tensor:
    kept = torch.library.get_ctx().new_dynamic_size()
    return boxes.new_empty((kept, 3), dtype=torch.long)


def translate_nms(boxes: Any, scores: Any, iou_threshold: float, score_threshold: float) -> Any:
    """The ONNX operator of :func:`nms`."""
    return onnx_ops.NonMaxSuppression(boxes, scores, ALL_BOXES, iou_threshold, score_threshold)


@torch.library.custom_op('mmcednet::flatten_level', mutates_args=())
def flatten_level(x: Tensor, channels: int) -> Tensor:
    """(N, A * channels, H, W) -> (N, H * W * A, channels).

    An operator of its own because torch's exporter needs minutes for the sizes of these reshapes.
    """
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, channels).clone()


@flatten_level.register_fake
def _(x: Tensor, channels: int) -> Tensor:
    return x.new_empty((x.shape[0], torch.library.get_ctx().new_dynamic_size(), channels))


def translate_flatten_level(x: Any, channels: int) -> Any:
    """The ONNX operators of :func:`flatten_level`."""
    rows = onnx_ops.Transpose(x, perm=[0, 2, 3, 1])
    return onnx_ops.Reshape(rows, onnx_ops.Constant(value_ints=[0, -1, channels]))


@torch.library.custom_op('mmcednet::pad', mutates_args=())
def pad(x: Tensor, divisor: int, value: float) -> Tensor:
    """Pad H and W of (N, C, H, W) at the end to multiples of ``divisor``.

    An operator of its own because torch's exporter needs minutes for sizes with a remainder, and fails
    with the many of Deformable DETR; here they are multiples of unknown numbers.
    """
    height, width = x.shape[-2:]
    return F.pad(x, (0, -width % divisor, 0, -height % divisor), value=value).clone()


@pad.register_fake
def _(x: Tensor, divisor: int, value: float) -> Tensor:
    context = torch.library.get_ctx()
    # for the exporter, which asks whether a size is 1, or too large for 32 bits; files take all sizes
    limits = dict(min=512 // divisor, max=4096 // divisor)
    rows, columns = (context.new_dynamic_size(**limits) for _ in range(2))
    return x.new_empty((*x.shape[:2], divisor * rows, divisor * columns))


def translate_pad(x: Any, divisor: int, value: float) -> Any:
    """The ONNX operators of :func:`pad`."""
    size = onnx_ops.Shape(x, start=2)
    missing = onnx_ops.Mod(onnx_ops.Neg(size), onnx_ops.Constant(value_ints=[divisor]))
    pads = onnx_ops.Concat(onnx_ops.Constant(value_ints=[0] * 6), missing, axis=0)
    return onnx_ops.Pad(x, pads, onnx_ops.Constant(value_float=value))


TRANSLATIONS: dict[Callable, Callable | Sequence[Callable]] = {
    torch.ops.mmcednet.nms.default: translate_nms,
    torch.ops.mmcednet.flatten_level.default: translate_flatten_level,
    torch.ops.mmcednet.pad.default: translate_pad,
}


class AdaptivePool(nn.Module):
    """``nn.AdaptiveAvgPool2d`` as two matrix products, whose matrices follow from H and W.

    Args:
        size: Number of bins in both directions.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, size, size)."""
        rows, columns = (self.compute_weights(length, x) for length in x.shape[-2:])
        return rows @ x @ columns.transpose(0, 1)

    def compute_weights(self, length: int, x: Tensor) -> Tensor:
        """The share of each pixel in each bin, (size, length)."""
        bins = torch.arange(self.size, device=x.device)[:, None]
        first = bins * length // self.size
        end = ((bins + 1) * length + self.size - 1) // self.size
        pixels = torch.arange(length, device=x.device)
        inside = (pixels >= first) & (pixels < end)
        return inside.to(x.dtype) / (end - first)


def replace_adaptive_pools(model: nn.Module) -> None:
    """Replace each ``nn.AdaptiveAvgPool2d`` inside ``model`` by an :class:`AdaptivePool`.

    Raises:
        ValueError: One of them has different numbers of bins in the two directions.
    """
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.AdaptiveAvgPool2d):
                size: Any = child.output_size
                sizes = {size} if isinstance(size, int) else set(size)
                if len(sizes) != 1:
                    raise ValueError(
                        f'an adaptive pool of size {size} cannot be exported; use a square'
                    )
                setattr(module, name, AdaptivePool(sizes.pop()))


class ImageInput(nn.Module):
    """A toolbox's data preprocessor for one batch of equally large images: channels, scale, padding.

    Args:
        preprocessor: Data preprocessor of mmdet, mmseg or mmpretrain.
        color: Channels of the images, 'bgr' or 'rgb'.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, preprocessor: nn.Module, color: str) -> None:
        super().__init__()
        to_rgb = getattr(preprocessor, '_channel_conversion', None) or getattr(
            preprocessor, 'to_rgb', False
        )
        self.flip = bool(to_rgb) == (color == 'bgr')
        self.register_buffer('mean', getattr(preprocessor, 'mean', torch.zeros(3, 1, 1)))
        self.register_buffer('std', getattr(preprocessor, 'std', torch.ones(3, 1, 1)))
        self.divisor = get_divisor(preprocessor)
        self.pad_value = float(preprocessor.pad_value)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """(N, H, W, 3), uint8 -> (N, 3, H, W) with H and W padded at the end."""
        x = images.permute(0, 3, 1, 2)
        x = ((x.flip(1) if self.flip else x).float() - self.mean) / self.std
        return x if self.divisor == 1 else pad(x, self.divisor, self.pad_value)


def get_divisor(preprocessor: nn.Module) -> int:
    """What H and W are padded to a multiple of in a test.

    Raises:
        ValueError: Images are padded to a fixed size.
    """
    if not hasattr(preprocessor, 'seg_pad_val'):
        return preprocessor.pad_size_divisor  # type: ignore[return-value]
    test_cfg: Any = preprocessor.test_cfg or {}  # mmseg's pads in training, unless this says otherwise
    if test_cfg.get('size'):
        raise ValueError(
            f'data_preprocessor.test_cfg pads images to {test_cfg["size"]}; export needs size_divisor'
        )
    return test_cfg.get('size_divisor') or 1
