"""Bad input ends in a sentence before anything long starts."""

import json
from contextlib import nullcontext
from pathlib import Path

import mmseg
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmcednet.checks import check_checkpoint, check_data, check_levels
from mmcednet.models import CEDNet


@pytest.fixture
def cfg(root, shapes):
    cfg = Config.fromfile(root / 'configs' / 'retinanet' / 'cednet_nano_shapes.py')
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.data_root = str(shapes)
    return cfg


def test_a_whole_data_set_passes(cfg):
    check_data(cfg, 'train', 'val')


def test_a_missing_image_folder_is_named(root, tmp_path):
    cfg = Config.fromfile(root / 'configs' / 'imagenet' / 'cednet_t.py')
    cfg.train_dataloader.dataset.data_root = str(tmp_path)
    with pytest.raises(ValueError, match=rf'the image folder {tmp_path}/train is not there'):
        check_data(cfg, 'train')
    (tmp_path / 'train').mkdir()
    check_data(cfg, 'train')


NO_CATEGORIES = json.dumps(dict(images=[dict(id=1, file_name='00000.png')]))


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (None, r'bad\.json is not there'),
        ('', r'bad\.json is no JSON'),
        ('{"images": [', r'bad\.json is no JSON'),
        ('[]', r'bad\.json has no images or no categories'),
        ('{}', r'bad\.json has no images or no categories'),
        (NO_CATEGORIES, r'bad\.json has no images or no categories'),
        (dict(annotations=[]), r'bad\.json has no annotations to train on'),
        (dict(categories=[dict(id=1, name='cat')]), r"none of the classes \('disc'"),
        (
            dict(images=[dict(id=i, file_name=f'{i}.png') for i in range(3)]),
            r'bad\.json names 3 images that are not there, the first is .*train/0\.png',
        ),
    ],
)
def test_bad_annotation_files(cfg, shapes, tmp_path, content, message):
    """The file is absent, holds a text, or is a good one with something changed."""
    path = tmp_path / 'bad.json'
    if isinstance(content, dict):
        good = json.loads((shapes / 'annotations' / 'train.json').read_text())
        content = json.dumps({**good, **content})
    if content is not None:
        path.write_text(content)
    cfg.train_dataloader.dataset.ann_file = str(path)
    with pytest.raises(ValueError, match=message):
        check_data(cfg, 'train')


def test_wrapped_and_listed_data_sets_are_found(cfg, tmp_path):
    inner = cfg.train_dataloader.dataset.to_dict()
    broken = dict(inner, ann_file=str(tmp_path / 'absent.json'))
    for wrapper in (
        dict(type='PairedDataset', dataset=broken, pipeline=[]),
        dict(type='ConcatDataset', datasets=[inner, broken]),
    ):
        cfg.train_dataloader.dataset = wrapper
        with pytest.raises(ValueError, match=r'absent\.json is not there'):
            check_data(cfg, 'train')


def test_other_data_sets_are_left_to_their_toolbox():
    check_data(Config(dict(train_dataloader=dict(dataset=dict(type='ADE20KDataset')))), 'train')
    check_data(Config(dict()), 'train', 'val')


def test_checkpoints(small, tmp_path):
    model = CEDNet(small)
    path = str(tmp_path / 'model.pth')
    torch.save(dict(state_dict={f'module.{k}': v for k, v in model.state_dict().items()}), path)
    check_checkpoint(model, path)
    small['channels'] = (8, 16, 24, 40)
    with pytest.raises(ValueError, match=r'model\.pth is of another size: its .* needs'):
        check_checkpoint(CEDNet(small), path)
    with pytest.raises(ValueError, match=r'model\.pth is of another model: it has no pyramid'):
        check_checkpoint(CEDNet(dict(small, channels=(8, 16, 24, 32)), pyramid=dict()), path)


def detector(root, name, levels):
    cfg = Config.fromfile(root / 'configs' / name)
    cfg.model.backbone.arch = dict(channels=(8, 8, 8, 8), blocks=(1, 1, 1, 1))
    cfg.model.backbone.pyramid.levels = levels
    with DefaultScope.overwrite_default_scope('mmdet'), torch.device('meta'):
        return MODELS.build(cfg.model)


@pytest.mark.parametrize(
    ('name', 'good', 'bad', 'message'),
    [
        (
            'retinanet/cednet_t.py',
            (3, 4, 5, 6, 7),
            (2, 3, 4, 5, 6),
            r'the bbox_head takes levels of strides \(8, .* the backbone gives \(4, 8, 16, 32, 64\)',
        ),
        (
            'retinanet/cednet_t.py',
            (3, 4, 5, 6, 7),
            (3, 4, 5, 6),
            r'gives \(8, 16, 32, 64\); set backbone',
        ),
        ('mask_rcnn/cednet_t.py', (2, 3, 4, 5, 6), (3, 4, 5, 6, 7), 'the rpn_head takes'),
        ('cascade_mask_rcnn/cednet_t.py', (2, 3, 4, 5, 6), (2, 3, 4, 5), 'the rpn_head takes'),
        (
            'deformable_detr/cednet_t.py',
            (3, 4, 5, 6),
            (3, 4, 5),
            'num_feature_levels=4, but .* gives 3',
        ),
    ],
)
def test_levels_that_a_head_does_not_take(root, name, good, bad, message):
    check_levels(detector(root, name, good))
    with pytest.raises(ValueError, match=message):
        check_levels(detector(root, name, bad))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (
            {'model.decode_head.in_channels': [96, 192, 384, 768]},
            r'the decode_head takes \[96, 192, 384, 768\] channels at in_index=\[0, 1, 2, 3\], but the '
            r'backbone gives \(96, 192, 352, 512, 192, 192\); set decode_head.in_channels and in_index',
        ),
        (
            {'model.backbone.aux_stages': False},
            r'the auxiliary_head takes 192 channels at in_index=4.*aux_stages=True',
        ),
        ({'model.backbone.out_levels': (3, 4, 5)}, 'the decode_head takes'),
    ],
)
def test_features_that_a_segmenter_does_not_take(root, changes, message):
    cfg = Config.fromfile(root / 'configs' / 'upernet' / 'cednet_t.py')

    def build():
        with DefaultScope.overwrite_default_scope('mmseg'), torch.device('meta'):
            return MODELS.build(cfg.model)

    check_levels(build())
    cfg.merge_from_dict(changes)
    with pytest.raises(ValueError, match=message):
        check_levels(build())


@pytest.mark.parametrize(
    ('index', 'channels', 'message'),
    [
        ([0, 1, 2], [96, 192, 352], None),
        ([0, 1, 2], [96, 192, 353], r'the decode_head takes 641 channels at in_index=\[0, 1, 2\]'),
        ([0, 7], [96, 192], r'the decode_head takes 288 channels at in_index=\[0, 7\]'),
    ],
)
def test_features_that_a_segmenter_concatenates(index, channels, message):
    head = dict(type='FCNHead', input_transform='resize_concat', in_index=index, num_convs=1)
    head |= dict(in_channels=channels, channels=8, num_classes=5)
    cfg = dict(type='EncoderDecoder', backbone=dict(type='CEDNet'), decode_head=head)
    with DefaultScope.overwrite_default_scope('mmseg'), torch.device('meta'):
        model = MODELS.build(cfg)
    with nullcontext() if message is None else pytest.raises(ValueError, match=message):
        check_levels(model)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({}, None),
        ({'out_levels': (3, 4, 5)}, r'the panoptic_head takes levels of strides \(4, 8, 16, 32\)'),
        ({'arch': 'base'}, r'deepest of \(512, 352, 192\) .* and \(704, 448, 256\) channels; set pano'),
    ],
)
def test_levels_of_mask2former(root, changes, message):
    cfg = Config.fromfile(root / 'configs' / 'mask2former' / 'cednet_t.py')
    cfg.model.backbone.update(changes)
    with DefaultScope.overwrite_default_scope('mmdet'), torch.device('meta'):
        model = MODELS.build(cfg.model)
    with nullcontext() if message is None else pytest.raises(ValueError, match=message):
        check_levels(model)


@pytest.mark.parametrize(
    'name',
    [
        'mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py',
        'maskformer/maskformer_r50-d32_8xb2-160k_ade20k-512x512.py',
        'knet/knet-s3_r50-d8_upernet_8xb2-adamw-80k_ade20k-512x512.py',
    ],
)
def test_heads_of_other_segmenters(name):
    """They pick their features in ways of their own."""
    cfg = Config.fromfile(Path(mmseg.__file__).parent / '.mim' / 'configs' / name)
    cfg.model.backbone = dict(type='CEDNet')
    cfg.model.pretrained = None
    widths = [96, 192, 352, 512]
    if name.startswith('knet'):
        cfg.model.decode_head.kernel_generate_head.in_channels = widths
        cfg.model.auxiliary_head.in_channels = 352
    else:
        cfg.model.decode_head.in_channels = widths
    with DefaultScope.overwrite_default_scope('mmseg'):
        check_levels(MODELS.build(cfg.model))


def test_levels_of_the_boxes_features(root):
    model = detector(root, 'mask_rcnn/cednet_t.py', (2, 3, 4, 5, 6))
    model.roi_head.bbox_roi_extractor.featmap_strides = [8, 16, 32, 64]
    with pytest.raises(ValueError, match=r'the roi_head takes levels of strides \(8, 16, 32, 64\)'):
        check_levels(model)
