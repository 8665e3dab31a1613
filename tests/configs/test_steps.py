"""Every config trains one step and is tested: its real model and pipelines, on a few small images.

The quick tests are those of CEDNet. Configs that differ from a smaller one in widths, depths and
schedules are tested with small models.
"""

import json
import math
import re
from pathlib import Path

import pytest
import torch
from mmdet.datasets import CocoDataset
from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.models import ConvNeXt
from torch import nn

from mmcednet.launch.config import enable_tta
from mmcednet.launch.device import adapt_to_device
from mmcednet.models import ARCHS

ROOT = Path(__file__).resolve().parents[2]
DETECTORS = (
    'retinanet',
    'mask_rcnn',
    'cascade_mask_rcnn',
    'deformable_detr',
    'mask2former',
    'dino',
)
# Without pre-trained weights, nothing is detected, or not always. DetectoRS: features reach 1e7 through
# frozen BatchNorm. FocalNet: its biases are 0, so that in padded areas all features are, and each
# LayerNorm multiplies their gradients by 316; after 50 of them, they overflow.
FINDS_NOTHING = (
    'mask_rcnn/detectors_50.py',
    'mask_rcnn/focalnet_b_fpn.py',
    'mask_rcnn/focalnet_s_fpn.py',
)
LARGEST = 'cascade_mask_rcnn/cbnet_x152_fpn.py'  # 45 s, 6 GB if it were complete
SHRINK_FACTOR = 8  # divides all image and crop sizes, and the widths of small models


@pytest.fixture(scope='module')
def coco(shapes, tmp_path_factory):
    """The shapes, under the names of COCO's 80 classes."""
    folder = tmp_path_factory.mktemp('coco')
    for part in ('train', 'val', 'labels'):
        (folder / part).symlink_to(shapes / part)
    (folder / 'annotations').mkdir()
    names = CocoDataset.METAINFO['classes']
    for split in ('train', 'val'):
        content = json.loads((shapes / 'annotations' / f'{split}.json').read_text())
        content['categories'] = [dict(id=i, name=name) for i, name in enumerate(names, start=1)]
        (folder / 'annotations' / f'{split}.json').write_text(json.dumps(content))
    return folder


def has_own_structure(name: str) -> bool:
    """Whether no smaller config has the same modules in other widths, depths and schedules."""
    smaller = {re.sub(r'_[sb](?=(_fpn)?\.py$)', f'_{size}', name) for size in 'ts'}
    smaller = {other.replace('_143', '_96') for other in smaller} - {name}
    return 'ablation/' not in name and not any((ROOT / 'configs' / other).exists() for other in smaller)


def iter_configs(*frameworks):
    for framework in frameworks:
        for path in sorted((ROOT / 'configs' / framework).rglob('*.py')):
            name = path.relative_to(ROOT / 'configs').as_posix()
            if 'nano' not in name:
                quick = has_own_structure(name) and 'cednet' in name  # the largest networks are others
                yield pytest.param(name, marks=() if quick else pytest.mark.slow)


def becomes_small(name: str) -> bool:
    """Whether the config trains with a small model; timm's FocalNets have one size per name."""
    return (not has_own_structure(name) or name == LARGEST) and 'focalnet' not in name


def make_small(model: dict) -> dict:
    """Divide all widths alike, so that parts that do not fit still do not, and leave few blocks.

    test_recipes.py compares the written numbers, and the paper's tables count the complete network.
    """
    model = shrink_widths(model)
    backbone = model['backbone']
    if backbone['type'] == 'CEDNet':
        arch = backbone['arch']
        arch = shrink_widths(ARCHS[arch]) if isinstance(arch, str) else arch
        ones = (tuple(1 for _ in n) if isinstance(n, (list, tuple)) else 1 for n in arch['blocks'])
        backbone['arch'] = dict(arch, blocks=tuple(ones))
    elif backbone['type'] == 'mmpretrain.ConvNeXt':
        widths = ConvNeXt.arch_settings[backbone['arch']]['channels']
        backbone['arch'] = shrink_widths(dict(depths=[1, 1, 1, 1], channels=widths))
    elif backbone['type'] == 'CBNet':
        backbone['backbone'].update(depth=50, base_channels=64 // SHRINK_FACTOR, base_width=1)
    else:
        backbone.update(FEW_BLOCKS[backbone['type']])
    if 'decoder' in model:
        model['bbox_head']['embed_dims'] = 256 // SHRINK_FACTOR  # mmdet's default, divided
    return model


FEW_BLOCKS = {
    'SwinTransformer': dict(depths=(2, 2, 2, 2)),  # the second block of a stage shifts its windows
    'FocalTransformer': dict(depths=(1, 1, 1, 1)),
    'RevCol': dict(blocks=(1, 1, 1, 1), num_columns=2),
    'SpineNet': dict(repeats=1, width=1 / SHRINK_FACTOR, out_channels=256 // SHRINK_FACTOR),
}
WIDTHS = ('channels', 'embed_dims', 'num_feats')  # the ends of their names


def shrink_widths(node):
    """A model with all numbers of channels divided."""
    if isinstance(node, dict):
        return {
            key: shrink_sizes(value) if key.endswith(WIDTHS) else shrink_widths(value)
            for key, value in node.items()
        }
    return type(node)(map(shrink_widths, node)) if isinstance(node, (list, tuple)) else node


def shrink_pipeline(node):
    """A pipeline with all sizes of images and crops divided."""
    if isinstance(node, dict):
        return {
            key: shrink_sizes(value) if 'scale' in key or 'size' in key else shrink_pipeline(value)
            for key, value in node.items()
        }
    return type(node)(map(shrink_pipeline, node)) if isinstance(node, (list, tuple)) else node


def shrink_sizes(value):
    if isinstance(value, (list, tuple)):
        return type(value)(map(shrink_sizes, value))
    return value // SHRINK_FACTOR if isinstance(value, int) and not isinstance(value, bool) else value


def remove_pretrained(node):
    """A model without the addresses of its pre-trained weights."""
    if isinstance(node, dict):
        return {
            key: remove_pretrained(value)
            for key, value in node.items()
            if not (isinstance(value, dict) and value.get('type') == 'Pretrained')
            and key != 'pretrained'
        }
    return type(node)(map(remove_pretrained, node)) if isinstance(node, (list, tuple)) else node


LIMITS = {'score_thr': 0.0, 'max_per_img': 10, 'num': 16}


def limit_detections(node):
    """A train_cfg or test_cfg with which an untrained model finds something, but not much."""
    if isinstance(node, dict):
        return {key: LIMITS.get(key, limit_detections(value)) for key, value in node.items()}
    return type(node)(map(limit_detections, node)) if isinstance(node, (list, tuple)) else node


def load_small_detector(name: str, coco: Path, work_dir: Path) -> Config:
    cfg = Config.fromfile(ROOT / 'configs' / name)
    for loader, split in (('train', 'train'), ('test', 'val')):
        loader = cfg[f'{loader}_dataloader']
        loader.update(num_workers=0, persistent_workers=False)
        dataset = loader.dataset
        if dataset.type == 'PairedDataset':
            dataset = dataset.dataset
        dataset.update(
            data_root=str(coco),
            ann_file=f'annotations/{split}.json',
            data_prefix=dict(img=f'{split}/', seg=f'labels/{split}/'),
            pipeline=shrink_pipeline(dataset.pipeline),
        )
    cfg.test_evaluator.ann_file = str(coco / 'annotations' / 'val.json')
    preprocessor = cfg.model.data_preprocessor
    preprocessor.batch_augments = shrink_pipeline(preprocessor.get('batch_augments'))
    for part in ('train_cfg', 'test_cfg'):
        cfg.model[part] = limit_detections(cfg.model[part])
    if cfg.model.get('as_two_stage'):
        cfg.model.num_queries = 30  # a small image has fewer positions than 900
    return shorten(name, cfg, work_dir)


def load_small_segmenter(name: str, ade20k: Path, work_dir: Path) -> Config:
    cfg = Config.fromfile(ROOT / 'configs' / name)
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        loader.update(num_workers=0, persistent_workers=False)
        loader.dataset.update(data_root=str(ade20k), pipeline=shrink_pipeline(loader.dataset.pipeline))
    cfg.tta_pipeline = shrink_pipeline(cfg.tta_pipeline)
    cfg.model.data_preprocessor.size = shrink_sizes(cfg.model.data_preprocessor.size)
    for key in {'crop_size', 'stride'} & set(cfg.model.test_cfg):
        cfg.model.test_cfg[key] = shrink_sizes(cfg.model.test_cfg[key])
    return shorten(name, cfg, work_dir)


def shorten(name: str, cfg: Config, work_dir: Path) -> Config:
    """One step of training, and one image to test."""
    cfg.model = remove_pretrained(cfg.model)
    if becomes_small(name):
        cfg.model = make_small(cfg.model)
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=1)
    cfg.update(val_dataloader=None, val_evaluator=None, val_cfg=None)
    cfg.test_dataloader.dataset.indices = 1
    cfg.default_hooks.update(checkpoint=None, logger=dict(type='LoggerHook', interval=1))
    cfg.update(work_dir=str(work_dir), launcher='none', log_level='WARNING')
    adapt_to_device(cfg)
    return cfg


def train_one_step(runner: Runner) -> set[str]:
    """Checks that the losses are finite, and that the backbone learnt; returns the losses' names."""
    backbone = runner.model.backbone
    before = sum_parameters(backbone)
    runner.train()
    losses = {key: value for key, value in runner.message_hub.log_scalars.items() if 'loss' in key}
    assert all(math.isfinite(history.current()) for history in losses.values())
    assert sum_parameters(backbone) != before
    return set(losses)


def sum_parameters(module: nn.Module) -> list[float]:
    """The sum of each parameter: a copy of the largest backbone would need 1.5 GB."""
    return [param.sum(dtype=torch.float64).item() for param in module.parameters()]


@pytest.mark.parametrize('name', iter_configs(*DETECTORS))
def test_detector(name, coco, tmp_path):
    runner = Runner.from_cfg(load_small_detector(name, coco, tmp_path))
    assert 'train/loss' in train_one_step(runner)
    if hasattr(runner.model, 'roi_head'):  # RoIAlign silently misreads non-contiguous features
        features = runner.model.extract_feat(torch.rand(1, 3, 128, 128))
        assert all(feature.is_contiguous() for feature in features)
    metrics = runner.test()
    if name not in FINDS_NOTHING:
        assert 'coco/bbox_mAP' in metrics
        assert ('coco/segm_mAP' in metrics) == ('mask' in name)


@pytest.mark.parametrize('name', iter_configs('upernet'))
def test_segmenter(name, ade20k, tmp_path):
    runner = Runner.from_cfg(load_small_segmenter(name, ade20k, tmp_path))
    assert train_one_step(runner) >= {'train/decode.loss_ce', 'train/aux.loss_ce'}
    assert 'mIoU' in runner.test()


@pytest.mark.parametrize(
    ('name', 'mode'),
    [
        ('cednet_t', 'slide'),
        pytest.param('convnext_t', 'whole', marks=pytest.mark.slow),
        pytest.param('swin_s', 'whole', marks=pytest.mark.slow),
        pytest.param('focal_t', 'whole', marks=pytest.mark.slow),
    ],
)
def test_segmenter_at_several_scales(name, mode, ade20k, tmp_path):
    cfg = load_small_segmenter(f'upernet/{name}.py', ade20k, tmp_path)
    assert cfg.model.test_cfg.mode == ('whole' if name in ('swin_s', 'focal_t') else 'slide')
    enable_tta(cfg)
    assert cfg.model.module.test_cfg.mode == mode
    assert 'mIoU' in Runner.from_cfg(cfg).test()
