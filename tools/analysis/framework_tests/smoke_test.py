"""A smoke test of a config's model: losses, gradients and a prediction, on generated inputs."""

import copy
import importlib
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData, PixelData

from mmcednet.checks import check_features
from mmcednet.config_files import find_config, iter_dicts

# Settings at any depth of a model's config that make its heads fast enough for one image on a CPU
LIMITS = dict(num=32, nms_pre=100, max_per_img=20, num_queries=20, num_proposals=20, num_points=784)
LIMITS['num_cp'] = 0  # activation checkpointing, with a package of its own


def run_smoke_test(cfg: Config, size: int) -> None:
    """Build a config's model without weights, compute loss and gradients, and predict.

    Of a model that wraps a detector (trackers, semi-supervised training), only the detector is tested.

    Args:
        cfg: Config of any toolbox.
        size: Height and width of the images.

    Raises:
        ValueError: A loss or a gradient is not finite, or the heads do not fit the backbone.
        Exception: Whatever building or running the model raises.
    """
    scope = cfg.default_scope
    importlib.import_module(f'{scope}.models')
    init_default_scope(scope)
    torch.manual_seed(0)
    np.random.seed(0)
    cfg = copy.deepcopy(cfg)
    if 'backbone' in cfg.model:
        model_cfg = cfg.model
        model_cfg.setdefault('data_preprocessor', cfg.get('data_preprocessor'))
    else:
        model_cfg = cfg.model.detector
        model_cfg.data_preprocessor = dict(type='DetDataPreprocessor', pad_mask=True)
    model_cfg = shrink(model_cfg)
    if 'teacher_config' in model_cfg:  # relative to the toolbox's repository
        name = model_cfg['teacher_config'].removeprefix('configs/')
        model_cfg['teacher_config'] = str(find_config(f'{scope}::{name}'))
    preprocessor = model_cfg['data_preprocessor']
    if preprocessor:
        preprocessor.pop('batch_augments', None)
    if scope == 'mmseg':
        preprocessor['size'] = (size, size)
    for key, value in dict(iter=0, max_iters=1, epoch=0, max_epochs=1).items():
        MessageHub.get_current_instance().update_info(key, value)  # as the runner does
    model = MODELS.build(model_cfg)
    model.init_weights()
    check_features(model)
    model.train()
    losses = model(**model.data_preprocessor(make_inputs(model_cfg, scope, size), True), mode='loss')
    loss, values = model.parse_losses(losses)
    if not loss.isfinite():
        raise ValueError(f'the loss is not finite: {values}')
    loss.backward()
    check_gradients(model)
    model.eval()
    with torch.no_grad():
        batch = make_inputs(model_cfg, scope, size)  # some predict one image at a time only
        model.test_step({key: value[:1] for key, value in batch.items()})


def shrink(node: Any) -> Any:
    """A model's config for the CPU: no addresses of weights, no SyncBN, few predictions."""
    if isinstance(node, dict):
        return type(node)(
            {
                key: min(LIMITS[key], value) if is_limited(key, value) else shrink(value)
                for key, value in node.items()
                if not (isinstance(value, dict) and value.get('type') == 'Pretrained')
                and key not in ('pretrained', 'teacher_ckpt')
            }
        )
    if node in ('SyncBN', 'MMSyncBN'):
        return 'BN'
    return type(node)(map(shrink, node)) if isinstance(node, (list, tuple)) else node


def is_limited(key: str, value: Any) -> bool:
    return key in LIMITS and isinstance(value, int) and value > 0


def check_gradients(model: Any) -> None:
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and not parameter.grad.isfinite().all():
            raise ValueError(f'the gradient of {name} is not finite')
    gradients = [parameter.grad for parameter in model.backbone.parameters()]
    if all(gradient is None for gradient in gradients):
        raise ValueError('the backbone has no gradient')


def make_inputs(model: dict, scope: str, size: int) -> dict[str, Any]:
    """A batch of two images with labels, before the data preprocessor."""
    if scope == 'mmdet':
        return make_detection_inputs(model, size)
    if scope == 'mmseg':
        return make_segmentation_inputs(model, size)
    return make_classification_inputs(model, size)


def make_detection_inputs(model: dict, size: int) -> dict[str, Any]:
    from mmdet.testing import demo_mm_inputs, demo_track_inputs

    num_classes = min(find_values(model, 'num_classes', 'num_things_classes'), default=1)
    if 'track_head' in model:
        return demo_track_inputs(
            num_frames=2,
            key_frames_inds=[0],
            image_shapes=[(3, size, size)],
            num_classes=num_classes,
            with_mask=True,
        )
    # The semantic heads of HTC and SCNet take label maps of an eighth of the image's size
    stride = 8 if find_values(model, 'semantic_roi_extractor') else 1
    size = max([size, *find_values(model, 'input_size')])  # of SSD's anchors
    batch = demo_mm_inputs(
        2,
        [[3, size, size]] * 2,
        num_classes=min(max(num_classes, 2), 255),  # label maps are uint8
        with_mask='mask' in repr(model).lower(),
        with_semantic=True,
        sem_seg_output_strides=stride,
    )
    for sample in batch['data_samples']:
        sample.gt_instances.labels %= num_classes
        sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4))
        if 'rpn_head' not in model:  # Fast R-CNN; other detectors would not run their RPN
            boxes = sample.gt_instances.bboxes.repeat(20, 1)
            boxes = boxes + torch.rand(len(boxes), 4) * 8
            sample.proposals = InstanceData(bboxes=boxes, scores=torch.rand(len(boxes)))
    return batch


def make_segmentation_inputs(model: dict, size: int) -> dict[str, Any]:
    from mmseg.structures import SegDataSample

    num_classes = min(find_values(model, 'num_classes'))
    channels = len(model['data_preprocessor'].get('mean') or (0, 0, 0))
    samples = [
        SegDataSample(
            gt_sem_seg=PixelData(data=torch.randint(0, num_classes, (1, size, size))),
            metainfo=dict.fromkeys(('ori_shape', 'img_shape', 'pad_shape'), (size, size)),
        )
        for _ in range(2)
    ]
    images = [torch.randint(0, 256, (channels, size, size), dtype=torch.uint8) for _ in samples]
    return dict(inputs=images, data_samples=samples)


def make_classification_inputs(model: dict, size: int) -> dict[str, Any]:
    from mmpretrain.structures import DataSample

    num_classes = min(find_values(model, 'num_classes'), default=1)
    samples = [DataSample().set_gt_label(index % num_classes) for index in range(2)]
    images = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8)
    return dict(inputs=images, data_samples=samples)


def find_values(node: Any, *keys: str) -> list[Any]:
    """Values of these keys at any depth of a config."""
    parts = iter_dicts(node)
    return [part[key] for part in parts for key in keys if part.get(key) is not None]
