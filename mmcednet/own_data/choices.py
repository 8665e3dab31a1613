"""Settings that fit a dataset: image scale, anchors, batch size, length of the training."""

import math
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch

from mmcednet.checkpoints.shipped import SHIPPED, find_pretrained
from mmcednet.converters.convnext import refuse_convnext

from .data_folder import Measurements

NANO = 'nano'
NO_WEIGHTS = 'none'
MAX_SCALE = (1333, 800)  # mmdet's
NANO_SIDE, MAX_NANO_SIDE = 320, 640  # px, longest side of an image on two CPU cores
MIN_OBJECT_SIZE = 16  # px; smaller objects are hard to find at stride 8
MAX_ENLARGEMENT = 2
ITERATIONS = {'nano': 2500, 'other': 20000}
EPOCHS = (12, 300)
BATCH_SIZES = (1, 16)
CPU_BATCH_SIZE = 4
# What the backward pass of one 1024x1024 image keeps, CEDNet-T with its head in mixed precision
GB_PER_IMAGE = {'tiny': 4.0, 'small': 5.5, 'base': 8.0}


T = TypeVar('T')


@dataclass(frozen=True)
class Choice(Generic[T]):
    """A setting, and why it has its value."""

    value: T
    reason: str


def choose_arch(arch: str | None, pretrained: str | None) -> Choice[str]:
    """The network: without a GPU, the one that trains on a CPU in minutes.

    Args:
        arch: As given; None for the default.
        pretrained: As given.

    Raises:
        ValueError: The weights may be of another network than the default one.
    """
    if arch is not None:
        return Choice(arch, 'as given')
    if torch.cuda.is_available():
        return Choice('tiny', f'CEDNet-T; for two CPU cores: --arch {NANO}')
    if pretrained not in (None, NO_WEIGHTS, *SHIPPED):
        raise ValueError(
            f'--pretrained {pretrained} needs --arch, the network whose weights these are; without a '
            f'GPU the default is {NANO}'
        )
    return Choice(NANO, 'there is no GPU here; CEDNet-T, with --arch tiny, needs one')


def choose_weights(arch: str, pretrained: str | None) -> Choice[str | None]:
    """Address of the backbone's initial weights; None for random ones.

    Args:
        arch: The network.
        pretrained: As for :func:`find_pretrained`, or 'none' for random weights. Default: the weights
            that come with the package, if they are those of ``arch``.

    Raises:
        ValueError: ``pretrained`` does not exist, is no checkpoint or a ConvNeXt's, or is the name of
            another network's weights.
    """
    if pretrained == NO_WEIGHTS:
        return Choice(None, f'--pretrained {NO_WEIGHTS}')
    if pretrained is None and arch not in SHIPPED:
        return Choice(None, f'no weights of {arch} come with mmcednet, and --pretrained is not given')
    if pretrained in SHIPPED and pretrained != arch:
        raise ValueError(f'--pretrained {pretrained} does not fit {arch}; use --arch {pretrained}')
    if pretrained is None or pretrained in SHIPPED:
        reason = (
            f"come with mmcednet, learnt from ImageNet's images, whose terms are non-commercial; "
            f'--pretrained {NO_WEIGHTS} for random ones'
        )
        return Choice(find_pretrained(arch), reason)
    checkpoint = find_pretrained(pretrained)
    refuse_convnext(checkpoint, f'--arch {arch}')
    return Choice(checkpoint, f'--pretrained {pretrained}')


def choose_scale(data: Measurements, arch: str) -> Choice[tuple[int, int]]:
    """Width and height in px that images are resized to, keeping their ratio."""
    long, short = max(data.image_size), min(data.image_size)
    if arch == NANO:
        factor, limit = min(1.0, NANO_SIDE / long), MAX_NANO_SIDE / long
    else:
        limit = min(max(MAX_SCALE) / long, min(MAX_SCALE) / short)
        factor = min(1.0, limit)
    smallest = data.find_object_sizes(data.image_size)[0]
    reason = (
        'as they are' if factor == 1 else f'at most {NANO_SIDE if arch == NANO else max(MAX_SCALE)} px'
    )
    if smallest * factor < MIN_OBJECT_SIZE:
        factor = max(factor, min(MIN_OBJECT_SIZE / smallest, limit, MAX_ENLARGEMENT))
        reason = f'so that most objects are larger than {smallest * factor:.0f} px'
    width, height = (round(side * factor) for side in data.image_size)
    return Choice(
        (width, height), f'the median image is {data.image_size[0]}x{data.image_size[1]}; {reason}'
    )


def choose_base_size(
    data: Measurements, scale: tuple[int, int], stride: int, limits: tuple[float, float]
) -> Choice[float]:
    """Anchors' size in units of their stride, so that the smallest anchors fit the smallest objects."""
    small, _, large = data.find_object_sizes(scale)
    base = min(max(round(small / stride, 1), limits[0]), limits[1])
    reason = f'90 % of the objects are {small:.0f} to {large:.0f} px (root of the area) once resized'
    return Choice(base, reason)


def choose_ratios(data: Measurements) -> Choice[list[float]]:
    """Anchors' height / width: one if most boxes are about square."""
    low, high = data.aspect_ratios
    ratios = [1.0] if low > 0.6 and high < 1.7 else [0.5, 1.0, 2.0]
    return Choice(ratios, f'80 % of the boxes are {low:.1f} to {high:.1f} times as high as wide')


def choose_batch_size(arch: str, scale: tuple[int, int]) -> Choice[int]:
    """Images per batch: as many as fit into the GPU's memory, a few without one."""
    if arch == NANO:
        return Choice(CPU_BATCH_SIZE, 'the size that the schedule was measured with')
    if not torch.cuda.is_available():
        return Choice(CPU_BATCH_SIZE, 'there is no GPU here whose memory could be asked')
    memory = torch.cuda.get_device_properties(0).total_memory / 1e9
    per_image = GB_PER_IMAGE.get(arch, GB_PER_IMAGE['base']) * scale[0] * scale[1] / 1024**2
    size = int(min(max(0.7 * memory / per_image, BATCH_SIZES[0]), BATCH_SIZES[1]))
    return Choice(size, f'{memory:.0f} GB of GPU memory, about {per_image:.1f} GB per image')


def choose_epochs(num_images: int, arch: str, batch_size: int, halved: bool) -> Choice[int]:
    """Number of epochs: about the same number of iterations for every dataset, or half of it."""
    iterations = ITERATIONS[NANO if arch == NANO else 'other'] // (2 if halved else 1)
    per_epoch = math.ceil(num_images / batch_size)
    epochs = min(max(round(iterations / per_epoch), EPOCHS[0]), EPOCHS[1])
    reason = f'{epochs * per_epoch} iterations over {num_images} images'
    if halved:
        reason += '; half as many as from random weights, as measured on blood cells'
    return Choice(epochs, reason)
