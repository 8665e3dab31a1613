"""Teachers: pre-trained networks of timm and mmpretrain that return features of several strides."""

import inspect
import math
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmcednet.checkpoints.loading import load_checkpoint
from mmcednet.config_files import read_config
from mmcednet.converters.convnext import convert_convnext, find_widths, is_convnext
from mmcednet.models.pretrained import BACKBONE, get_state_dict

LEVELS = (2, 3, 4, 5)  # strides 4 to 32
IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
PROBE_SIZE = 128  # px; of smaller images, features are too few pixels to tell their stride
# What lets networks of timm take images of any size: most, Swin and its like, and plain Transformers,
# also if their patches do not divide it
ANY_SIZE: tuple[dict, ...] = (
    {},
    dict(strict_img_size=False),
    dict(dynamic_img_size=True),
    dict(dynamic_img_size=True, dynamic_img_pad=True),
)
MAX_REASON = 300  # characters of an error that lists all weights of a network


class Teacher(nn.Module):
    """A frozen network that returns one feature per stride.

    Args:
        network: Maps images (N, 3, H, W) to features (N, C, H / stride, W / stride).
        mean: Of the pixels of its images, RGB in [0, 255].
        std: As ``mean``.
        size: Side of its images in px.
        channels_last: Its features are (N, H / stride, W / stride, C) instead. Default: False.

    Attributes:
        channels: Level -> C; level k has stride 2^k. Of several features with the same stride, the last
            one counts.

    Raises:
        ValueError: No feature has a stride of 4, 8, 16 or 32, or the network does not take the images.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        mean: Iterable[float],
        std: Iterable[float],
        size: int,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        # faster convolutions; torch's types lack the argument
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.channels_last = channels_last
        self.register_buffer('mean', torch.tensor([*mean]).view(-1, 1, 1))
        self.register_buffer('std', torch.tensor([*std]).view(-1, 1, 1))
        self.requires_grad_(False)
        self.eval()
        try:
            self.compute(torch.zeros(1, 3, size, size))
            found = self.find_levels(max(size, PROBE_SIZE))
        except (AssertionError, RuntimeError) as error:  # Transformers of one size of images
            raise ValueError(
                f'the teacher does not take images of {size}x{size} px, --size times --teacher-scale: '
                f'{error}'
            ) from None
        if not found:
            raise ValueError('the teacher has no features of stride 4, 8, 16 or 32')
        self.indices = {level: index for level, (index, _) in found.items()}
        self.channels = {level: channels for level, (_, channels) in found.items()}

    @torch.no_grad()
    def find_levels(self, size: int) -> dict[int, tuple[int, int]]:
        """Level -> index among the outputs, and channels; of images of a size."""
        found = {}
        for index, feature in enumerate(self.compute(torch.zeros(1, 3, size, size))):
            if not isinstance(feature, Tensor) or feature.ndim != 4:
                continue
            level = round(math.log2(size / feature.shape[-1]))
            if level in LEVELS:
                found[level] = (index, feature.shape[1])
        return found

    def compute(self, images: Tensor) -> list[Tensor]:
        """All features of normalised images."""
        features = self.network(images)
        return [x.permute(0, 3, 1, 2) for x in features] if self.channels_last else list(features)

    @torch.no_grad()
    def forward(self, images: Tensor) -> dict[int, Tensor]:
        """Images (N, 3, H, W), RGB in [0, 255] -> level -> (N, C, H / 2^level, W / 2^level)."""
        images = (images - self.mean) / self.std
        features = self.compute(images.contiguous(memory_format=torch.channels_last))
        return {level: features[index] for level, index in self.indices.items()}


def build_teacher(name: str, size: int) -> Teacher:
    """Build a teacher, with its weights.

    Args:
        name: 'timm:NAME' or 'timm:NAME=FILE': a network of timm, with its published weights, which are
            downloaded, or those of a file; 'mmpretrain:NAME' or 'mmpretrain:NAME=FILE', where NAME may
            be a config file; or 'FILE': a checkpoint of mmpretrain's or this project's train.py, which
            contains its config, or a ConvNeXt of torchvision, timm, mmpretrain or the original code.
        size: Side of its images in px.

    Raises:
        ValueError: There is no such network, the file is no checkpoint of it, no feature has a stride
            of 4, 8, 16 or 32, or it does not take images of this size.
        FileNotFoundError: The file does not exist.
    """
    library, _, rest = name.partition(':')
    if library not in LIBRARIES:
        return load_teacher(name, size)
    network, _, file = rest.partition('=')
    if file and not Path(file).is_file():
        raise FileNotFoundError(f'the weights of the teacher, {file}, do not exist')
    return LIBRARIES[library](network, file, size)


def build_timm(name: str, file: str, size: int) -> Teacher:
    """A teacher of timm; see :func:`build_teacher`."""
    try:
        import timm
    except ImportError:
        raise ValueError(f'the teacher timm:{name} needs timm: pip install timm') from None
    if not timm.is_model(name):
        raise ValueError(f'timm has no network named {name!r}; timm.list_models() lists them')
    weights = get_state_dict(load_checkpoint(file)) if file else None
    errors = []
    for option in ANY_SIZE:
        try:
            network = create_timm(name, weights, option)
            cfg, layout = network.pretrained_cfg, getattr(network, 'output_fmt', 'NCHW')
            mean, std = ([255 * value for value in cfg[key]] for key in ('mean', 'std'))
            teacher = Teacher(network, mean, std, size, channels_last=layout == 'NHWC')
        except (RuntimeError, ValueError, TypeError) as error:  # the last: it does not know the option
            errors.append(' '.join(str(error).split())[:MAX_REASON])
        else:
            check_timm(name, file, weights, option)
            return teacher
    raise ValueError(f'the teacher timm:{name} cannot be built: {errors[0]}')


def create_timm(name: str, weights: dict[str, Tensor] | None, option: dict) -> Any:
    """Create a network of timm that returns features, with its published weights or others.

    Args:
        name: Its name in timm.
        weights: Those of the classifier, or of such a network, of which timm renames some layers; those
            that are missing stay random. None: the published ones.
        option: Further arguments of the network.
    """
    import timm

    create = partial(timm.create_model, name, features_only=True, **option)
    if weights is None:
        return create(pretrained=True)
    network = create()
    if network.state_dict().keys() <= weights.keys():
        network.load_state_dict(weights, strict=False)  # a classifier's head is left out
        return network
    overlay = dict(state_dict=dict(weights), custom_load=False)  # a copy, as timm removes the head
    try:
        return create(pretrained=True, pretrained_cfg_overlay=overlay)
    except LookupError:  # timm's renaming met a name of another network: nothing is loaded
        return network


def check_timm(name: str, file: str, weights: dict[str, Tensor] | None, option: dict) -> None:
    """Check that the weights of a file are all that a network of timm needs.

    timm renames and resizes weights before it loads them, and does not say which it lacks: with NaN in
    their place, those that stay numbers are missing.

    Raises:
        ValueError: One is missing.
    """
    if weights is None:
        return
    nans = {key: torch.full_like(value.float(), math.nan) for key, value in weights.items()}
    for key, value in create_timm(name, nans, option).state_dict().items():
        if value.is_floating_point() and not value.isnan().all():
            raise ValueError(f'{file} does not fit the teacher timm:{name}: {key} is missing')


def build_mmpretrain(name: str, file: str, size: int) -> Teacher:
    """A teacher of mmpretrain; see :func:`build_teacher`."""
    from mmpretrain.apis import ModelHub, list_models

    if name.endswith('.py'):
        cfg = read_config(name)
    elif name in list_models():
        cfg, file = ModelHub.get(name).config, file or ModelHub.get(name).weights
    else:
        raise ValueError(
            f'mmpretrain has no network named {name!r}; mmpretrain.list_models() lists them'
        )
    if not file:
        raise ValueError(f'mmpretrain has no weights of {name}; give a file: mmpretrain:{name}=FILE')
    return build_from_config(cfg, get_state_dict(load_checkpoint(file)), file, size)


LIBRARIES = {'timm': build_timm, 'mmpretrain': build_mmpretrain}


def load_teacher(file: str, size: int) -> Teacher:
    """A teacher of a checkpoint alone; see :func:`build_teacher`."""
    if '://' not in file and not Path(file).is_file():
        raise FileNotFoundError(
            f'--teacher {file} is no file; a network of a library is timm:NAME or mmpretrain:NAME'
        )
    loaded = load_checkpoint(file)
    weights = get_state_dict(loaded)
    cfg = (loaded.get('meta') or {}).get('cfg')
    if isinstance(cfg, str) and 'backbone' in cfg:
        return build_from_config(Config.fromstring(cfg, '.py'), weights, file, size)
    if is_convnext(weights):
        weights = convert_convnext(weights)
        channels, depths = find_widths(weights)
        arch = dict(channels=channels, depths=depths)
        network = build_backbone(Config(dict(model=dict(backbone=dict(type='ConvNeXt', arch=arch)))))
        load_weights(network, weights, file)
        return Teacher(network, IMAGENET_MEAN, IMAGENET_STD, size)
    raise ValueError(
        f'{file} does not say of which network its weights are; name it: --teacher timm:NAME={file} or '
        f'mmpretrain:NAME={file}'
    )


def build_from_config(cfg: Config, weights: dict[str, Tensor], source: str, size: int) -> Teacher:
    """The backbone of a config with its weights.

    Args:
        cfg: Config of any toolbox.
        weights: Weights of its model.
        source: Where they come from, for messages.
        size: Side of the images in px.

    Raises:
        ValueError: They are not those of the backbone, or it does not take the images.
    """
    network = build_backbone(cfg)
    own = {k.removeprefix(BACKBONE): v for k, v in weights.items() if k.startswith(BACKBONE)}
    load_weights(network, own, source)
    return Teacher(network, *get_normalization(cfg), size)


def build_backbone(cfg: Config) -> nn.Module:
    """Build the backbone of a config, so that it returns the features of all its stages.

    Raises:
        ValueError: No toolbox has it.
    """
    settings = dict(cfg.model.backbone, init_cfg=None)
    with MODELS.switch_scope_and_registry(cfg.get('default_scope', 'mmpretrain')) as registry:
        kind = registry.get(settings['type'])
        if kind is None:
            raise ValueError(f'the backbone of the teacher, {settings["type"]}, is not registered')
        arguments = list_arguments(kind)
        if 'out_type' in arguments:  # of Transformers, whose features could be class tokens
            settings['out_type'] = 'featmap'
        if 'gap_before_final_norm' in arguments:  # ConvNeXt's, whose features would be averages
            settings['gap_before_final_norm'] = False
        if 'pad_small_map' in arguments:  # Swin's, which refuses maps smaller than its windows
            settings['pad_small_map'] = True
        if 'pyramid' in arguments:  # CEDNet's, in place of its levels
            settings.update(pyramid=None, aux_stages=False, out_levels=LEVELS)
        network = registry.build(settings)
        # all up to the last one, whose index the network has found
        if 'out_indices' in arguments and hasattr(network, 'out_indices'):
            settings['out_indices'] = list(range(max(network.out_indices) + 1))
            network = registry.build(settings)
        return network


def list_arguments(kind: type) -> set[str]:
    """Names of the arguments of a class, with those that it passes on to its base classes."""
    names: set[str] = set()
    for base in kind.__mro__:
        parameters = inspect.signature(base).parameters
        names |= parameters.keys()
        if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters.values()):
            break
    return names


def load_weights(network: nn.Module, weights: dict[str, Tensor], source: str) -> None:
    """Load weights into a network; norms of features that the weights lack keep their start.

    Raises:
        ValueError: A weight is missing or has another shape.
    """
    try:
        missing = network.load_state_dict(weights, strict=False).missing_keys
    except RuntimeError as error:
        raise ValueError(f'{source} does not fit the teacher: {str(error).splitlines()[1]}') from None
    missing = [key for key in missing if not key.startswith('norm')]
    if missing:
        raise ValueError(f'{source} does not fit the teacher: {missing[0]} is missing')


def get_normalization(cfg: Config) -> tuple[list[float], list[float]]:
    """Mean and std of the pixels of a config's images, RGB; ImageNet's if it has none."""
    found = cfg.get('data_preprocessor') or cfg.model.get('data_preprocessor') or {}
    mean, std = found.get('mean', IMAGENET_MEAN), found.get('std', IMAGENET_STD)
    to_rgb = found.get('to_rgb', found.get('bgr_to_rgb', True))
    return (list(mean), list(std)) if to_rgb else (list(mean[::-1]), list(std[::-1]))
