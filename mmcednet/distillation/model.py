"""The model that is trained: a backbone, and a convolution from each feature to the teacher's."""

from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from mmengine.logging import print_log
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmcednet.converters.convnext_selection import select_from_convnext
from mmcednet.models import CEDNet
from mmcednet.models.utils import check_choice

from .teacher import build_teacher

NORMALIZATIONS = dict(batch=(0, 2, 3), channels=(1,))  # dimensions of (N, C, H, W)
DTYPES = ('bfloat16', 'float16')
EPS = 1e-6


@MODELS.register_module()
class FeatureDistillation(BaseModel):
    """CEDNet learns to predict a teacher's features, each by a 1x1 convolution from its own.

    The loss of a feature is the mean squared error to the teacher's normalised feature of the same
    stride, and so about 1 if nothing is predicted. That of a level is the mean over the stages; levels
    that the teacher lacks do not learn.

    Args:
        backbone: Config of a CEDNet; its features are those of the stem and of each stage's end,
            whatever the backbone itself returns.
        teacher: As for :func:`build_teacher`.
        data_preprocessor: Gives normalised RGB images; its ``mean`` and ``std`` are needed.
        size: Side of the images in px.
        normalization: How the teacher's features are normalised: each channel over the 'batch', or over
            the 'channels' of each position. Default: 'batch'.
        teacher_scale: The teacher's images are enlarged by this factor. Default: 1.
        teacher_dtype: 'bfloat16' or 'float16': the teacher computes in autocast to this type. Default:
            None, as the rest.
        select: If the teacher is a ConvNeXt that fits, the backbone starts from weights selected of it,
            see :func:`select_from_convnext`; an ``init_cfg`` overrides them. Default: True.

    Raises:
        ValueError: An argument is invalid, or see :func:`build_teacher`.
    """

    def __init__(
        self,
        backbone: dict,
        teacher: str,
        data_preprocessor: dict,
        size: int,
        normalization: str = 'batch',
        teacher_scale: float = 1.0,
        teacher_dtype: str | None = None,
        select: bool = True,
    ) -> None:
        super().__init__(data_preprocessor)
        self.backbone: CEDNet = MODELS.build(backbone)
        if not isinstance(self.backbone, CEDNet):
            raise ValueError(f'the backbone is {backbone["type"]}; only CEDNet can be distilled')
        network = build_teacher(teacher, int(size * teacher_scale))
        # no submodule: it is neither trained nor saved, nor sent between processes
        self.__dict__['teacher'] = network
        if select:
            self.select_weights(network.network)
        self.levels = sorted(network.channels)
        strides = ', '.join(str(2**level) for level in self.levels)
        print_log(f'the teacher has features of stride {strides}', 'current')
        self.normalized_dims = NORMALIZATIONS[
            check_choice('normalization', normalization, NORMALIZATIONS)
        ]
        self.teacher_scale = teacher_scale
        self.teacher_dtype = (
            getattr(torch, check_choice('teacher_dtype', teacher_dtype, DTYPES))
            if teacher_dtype
            else None
        )
        channels = self.find_channels()
        self.projections = nn.ModuleDict(
            {
                name: nn.Conv2d(channels[name], network.channels[level], 1)
                for name, level in self.name_features()
            }
        )

    def select_weights(self, source: nn.Module) -> None:
        """Start from weights of the teacher; if it is no ConvNeXt that fits, the reason is logged."""
        try:
            selected = select_from_convnext(source.state_dict(), self.backbone)
        except ValueError as error:
            print_log(
                f'nothing is selected from the teacher: {error}; the network starts from random '
                f'weights',
                'current',
            )
        else:
            self.backbone.load_state_dict(selected, strict=False)

    def name_features(self) -> list[tuple[str, int]]:
        """Name and level of each feature that learns."""
        stages = range(1, len(self.backbone.stages) + 1)
        names = [('stem', 2)] if 2 in self.levels else []
        return names + [(f'stage{k}_level{i}', i) for k in stages for i in self.levels if i > 2]

    @torch.no_grad()
    def find_channels(self) -> dict[str, int]:
        """Channels of each feature of the backbone."""
        conv = self.backbone.stem.conv1
        self.backbone.eval()  # BatchNorm takes no single pixel in training, and keeps its statistics
        features = self.extract(torch.zeros(1, conv.in_channels, 32, 32))
        self.backbone.train()
        return {name: feature.shape[1] for name, feature in features.items()}

    def extract(self, images: Tensor) -> dict[str, Tensor]:
        """The backbone's features by name: of its stem, and of all levels of all stages."""
        c2, x = self.backbone.stem(images)
        features = {'stem': c2}
        for number, stage in enumerate(self.backbone.stages, 1):
            levels = stage(x)
            x = levels[3]
            features |= {f'stage{number}_level{level}': levels[level] for level in levels}
        return features

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = 'tensor') -> Any:
        """The losses of a batch, or with another mode than 'loss' the backbone's features.

        Args:
            inputs: Normalised images (N, 3, H, W).
            data_samples: Ignored.
            mode: 'loss' or 'tensor'. Default: 'tensor'.
        """
        features = self.extract(inputs)
        return (
            self.compute_losses(features, self.compute_targets(inputs)) if mode == 'loss' else features
        )

    @torch.no_grad()
    def compute_targets(self, inputs: Tensor) -> dict[int, Tensor]:
        """The teacher's normalised features, by level."""
        preprocessor = self.data_preprocessor
        images = inputs * preprocessor.std + preprocessor.mean
        if self.teacher_scale != 1:
            images = F.interpolate(
                images,
                scale_factor=self.teacher_scale,
                mode='bicubic',
                antialias=self.teacher_scale < 1,
            )
        teacher, device = self.teacher.to(inputs.device), inputs.device.type
        with torch.autocast(device, self.teacher_dtype) if self.teacher_dtype else nullcontext():
            features = teacher(images)
        return {level: self.normalize(features[level].float()) for level in self.levels}

    def normalize(self, feature: Tensor) -> Tensor:
        """Normalise a feature (N, C, H, W) of the teacher."""
        centred = feature - self.average(feature)
        return centred / (self.average(centred.square()) + EPS).sqrt()

    def average(self, feature: Tensor) -> Tensor:
        """The mean over the dimensions that are normalised over; the batch is that of all processes."""
        mean = feature.mean(self.normalized_dims, keepdim=True)
        if 0 in self.normalized_dims:
            all_reduce(mean, 'mean')
        return mean

    def compute_losses(
        self, features: dict[str, Tensor], targets: dict[int, Tensor]
    ) -> dict[str, Tensor]:
        """The loss of each level, 'loss_level2' and so on."""
        found: dict[int, list[Tensor]] = {level: [] for level in self.levels}
        for name, level in self.name_features():
            predicted = self.projections[name](features[name]).float()
            target = targets[level]
            if predicted.shape[-2:] != target.shape[-2:]:
                size = predicted.shape[-2:]
                target = F.interpolate(target, size=size, mode='bilinear', antialias=True)
            found[level].append(F.mse_loss(predicted, target))
        return {f'loss_level{level}': torch.stack(losses).mean() for level, losses in found.items()}
