"""Segmenters: pre-flight checks, odd sizes, sliding windows and multi-scale tests."""

import copy
import shutil

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, DefaultScope
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.apis import inference_model, init_model
from mmseg.structures import SegDataSample

from mmcednet.engine.checks import check_data
from mmcednet.engine.checks.segmentation import check_segmentation, loads_label_maps
from mmcednet.engine.config import enable_tta
from mmcednet.engine.launch import adapt_to_device


@pytest.fixture
def data(ade20k, tmp_path):
    """A copy of the data that a test may damage."""
    return shutil.copytree(ade20k, tmp_path / 'ade20k')


def load_small(root, data, **changes) -> Config:
    """configs/upernet/cednet_t.py with fewer channels and windows of 64x64."""
    cfg = Config.fromfile(root / 'configs' / 'upernet' / 'cednet_t.py')
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(num_workers=0, persistent_workers=False)
        loader.dataset.data_root = str(data)
    arch = dict(_delete_=True, channels=(4, 6, 8, 10), blocks=(1, 1, 1, 1), num_stages=3)
    cfg.merge_from_dict(
        {
            'model.backbone.arch': arch,
            'model.decode_head.in_channels': [4, 6, 8, 10],
            'model.decode_head.channels': 8,
            'model.auxiliary_head.in_channels': 6,
            'model.auxiliary_head.channels': 8,
            'model.data_preprocessor.size': (64, 64),
            'model.test_cfg.crop_size': (64, 64),
            'model.test_cfg.stride': (42, 42),
            'train_dataloader.dataset.pipeline.2.scale': (256, 64),
            'train_dataloader.dataset.pipeline.3.crop_size': (64, 64),
            'val_dataloader.dataset.pipeline.1.scale': (256, 64),
            'test_dataloader.dataset.pipeline.1.scale': (256, 64),
            'test_pipeline.1.scale': (256, 64),
            **changes,
        }
    )
    return cfg


def build_runner(cfg: Config, work_dir) -> Runner:
    cfg.update(work_dir=str(work_dir), launcher='none', log_level='WARNING')
    adapt_to_device(cfg)
    return Runner.from_cfg(cfg)


def check(root, data, tmp_path, **changes) -> None:
    runner = build_runner(load_small(root, data, **changes), tmp_path / 'work')
    check_segmentation(runner, 'train', 'val')


def test_valid_data_set_passes(root, data, tmp_path):
    check(root, data, tmp_path)


def test_missing_label_maps(root, data, tmp_path):
    (data / 'annotations' / 'training' / '00002.png').unlink()
    (data / 'annotations' / 'training' / '00004.png').unlink()
    with pytest.raises(ValueError, match=r'^2 label maps do not exist, .* \S+/training/00002\.png$'):
        check(root, data, tmp_path)


@pytest.mark.parametrize('split', ['training', 'validation'])
@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (
            np.full((64, 64), 151, np.uint8),
            r'has the id 151; valid ids are 1 to 150 for the 150 classes',
        ),
        (np.full((64, 64), 300, np.uint16), r'has the id 300; .* and 0 and 255 for ignored pixels'),
        (
            np.zeros((64, 64, 3), np.uint8),
            r'has the shape \(64, 64, 3\); it must be \(H, W\), of class ids',
        ),
    ],
)
def test_invalid_label_maps(root, data, tmp_path, split, content, message):
    path = data / 'annotations' / split / '00001.png'
    cv2.imwrite(str(path), content)
    with pytest.raises(ValueError, match=rf'^the label map {path} {message}'):
        check(root, data, tmp_path)


@pytest.mark.parametrize('content', [b'', b'no image', 'half'])
def test_unreadable_label_maps(root, data, tmp_path, content):
    path = data / 'annotations' / 'validation' / '00001.png'
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content == 'half' else content)
    with pytest.raises(ValueError, match=rf'^the label map {path} cannot be read: '):
        check(root, data, tmp_path)


def test_image_lists(root, data, tmp_path):
    listed = tmp_path / 'train.txt'
    changes = {'train_dataloader.dataset.ann_file': str(listed)}
    listed.write_text('00001\n00003\n')
    check(root, data, tmp_path, **changes)
    listed.write_text('00001\n00007\n')
    with pytest.raises(ValueError, match=r'^1 images do not exist, the first is \S+/00007\.jpg$'):
        check(root, data, tmp_path, **changes)
    listed.write_text('')
    with pytest.raises(ValueError, match=rf'^the image list {listed} is empty$'):
        check(root, data, tmp_path, **changes)
    listed.unlink()
    with pytest.raises(ValueError, match=rf'^the annotation file {listed} does not exist$'):
        check_data(load_small(root, data, **changes), 'train')


def test_data_set_without_label_maps(root, data, tmp_path):
    cfg = load_small(root, data)
    cfg.train_dataloader.dataset.data_prefix = dict(img_path='images/training')
    with pytest.raises(ValueError, match=r'ADE20KDataset of \S+ has no data_prefix\.seg_map_path'):
        check_segmentation(build_runner(cfg, tmp_path / 'work'), 'train')


def test_label_maps_that_are_not_loaded_are_not_checked(root, data, tmp_path):
    """A test set without label maps, and another loader of annotations."""
    shutil.rmtree(data / 'annotations' / 'validation')
    cfg = load_small(root, data)
    del cfg.test_dataloader.dataset.pipeline[2]
    check_segmentation(build_runner(cfg, tmp_path / 'work'), 'test')
    cfg.test_dataloader.dataset.pipeline.insert(2, dict(type='LoadOther'))
    assert not loads_label_maps(cfg.test_dataloader.dataset.pipeline)
    assert loads_label_maps(cfg.tta_pipeline)


def test_heads_with_other_targets(root, data, tmp_path):
    """STDC's auxiliary head learns boundaries instead of the data set's classes."""
    head = dict(type='STDCHead', in_channels=6, in_index=4, channels=8, num_classes=2, num_convs=1)
    loss = dict(type='CrossEntropyLoss', use_sigmoid=True)
    head |= dict(boundary_threshold=0.1, norm_cfg=dict(type='BN'), loss_decode=loss)
    cfg = load_small(root, data)
    cfg.model.auxiliary_head = head
    check_segmentation(build_runner(cfg, tmp_path / 'work'), 'train')


def test_ids_of_other_data_sets(root, shapes, tmp_path):
    """Ids that start at 0, and a data set with fewer classes than ids on disk."""
    cfg = load_small(root, shapes)
    dataset = dict(
        type='BaseSegDataset',
        data_root=str(shapes),
        data_prefix=dict(img_path='train', seg_map_path='labels/train'),
        img_suffix='.png',
        metainfo=dict(classes=('background', 'disc', 'square', 'triangle', 'star')),
        pipeline=[dict(type='LoadAnnotations')],
    )
    cfg.merge_from_dict({'model.decode_head.num_classes': 5, 'model.auxiliary_head.num_classes': 5})
    cfg.train_dataloader.dataset = dict(type='RepeatDataset', times=2, dataset=dataset)
    check_segmentation(build_runner(cfg, tmp_path / 'work'), 'train')
    inner = cfg.train_dataloader.dataset.dataset
    inner.metainfo.classes = inner.metainfo.classes[:4]
    cfg.merge_from_dict({'model.decode_head.num_classes': 4, 'model.auxiliary_head.num_classes': 4})
    with pytest.raises(
        ValueError, match=r'has the id 4; valid ids are 0 to 3 for the 4 classes and 255 for'
    ):
        check_segmentation(build_runner(cfg, tmp_path / 'work'), 'train')


def test_selected_classes(root, data, tmp_path):
    classes = dict(metainfo=dict(classes=('wall', 'sky')))
    changes = {'model.decode_head.num_classes': 2, 'model.auxiliary_head.num_classes': 2}
    cfg = load_small(root, data, **changes)
    cfg.train_dataloader.dataset.update(classes)
    check_segmentation(build_runner(cfg, tmp_path / 'work'), 'train')


def test_heads_with_another_number_of_classes(root, data, tmp_path):
    with pytest.raises(ValueError, match=r'auxiliary_head has num_classes=19, but .* has 150 classes'):
        check(root, data, tmp_path, **{'model.auxiliary_head.num_classes': 19})


def test_empty_image_folder(root, data, tmp_path):
    with pytest.raises(ValueError, match=r'images/training has no file with the suffix \.webp'):
        check(root, data, tmp_path, **{'train_dataloader.dataset.img_suffix': '.webp'})


def test_batch_of_one_image(root, data, tmp_path):
    """torch raises in the first iteration; the check reports it before."""
    cfg = load_small(root, data, **{'train_dataloader.batch_size': 1, 'train_cfg.max_iters': 1})
    runner = build_runner(cfg, tmp_path / 'work')
    with pytest.raises(ValueError, match='Expected more than 1 value per channel'):
        runner.train()
    with pytest.raises(
        ValueError, match=r'^decode_head\.psp_modules\.0\..* set train_dataloader\.batch'
    ):
        check_segmentation(runner, 'train')


@pytest.mark.parametrize(('images', 'drop_last', 'fails'), [(5, False, True), (5, True, False)])
def test_last_batch_of_one_image(root, data, tmp_path, images, drop_last, fails):
    cfg = load_small(root, data, **{'train_dataloader.dataset.indices': images})
    cfg.train_dataloader.update(
        sampler=dict(type='DefaultSampler', shuffle=True), drop_last=drop_last, batch_size=2
    )
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1)
    runner = build_runner(cfg, tmp_path / 'work')
    if fails:
        with pytest.raises(
            ValueError, match=r'batch_size to 2 or more, and train_dataloader\.drop_last'
        ):
            check_segmentation(runner, 'train')
    else:
        check_segmentation(runner, 'train')


def test_one_small_image_is_enough(root, data, tmp_path):
    cfg = load_small(root, data, **{'train_dataloader.dataset.indices': 1, 'train_cfg.max_iters': 1})
    cfg.update(val_dataloader=None, val_evaluator=None, val_cfg=None)
    cfg.default_hooks.checkpoint = None
    runner = build_runner(cfg, tmp_path / 'work')
    check_segmentation(runner, 'train')
    runner.train()
    assert np.isfinite(runner.message_hub.get_scalar('train/loss').current())


@pytest.mark.parametrize('size', [(75, 101), (33, 130), (32, 32)])
def test_odd_sizes(root, data, size):
    """In training, and in tests of the whole image and of sliding windows."""
    cfg = load_small(root, data, **{'model.data_preprocessor.size': None})
    cfg.model.data_preprocessor.size_divisor = 1
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(cfg.model)

    def batch():
        samples = [
            SegDataSample(
                gt_sem_seg=PixelData(data=torch.randint(0, 150, (1, *size))),
                metainfo=dict(ori_shape=size, img_shape=size),
            )
            for _ in range(2)
        ]
        return dict(inputs=[torch.randint(0, 256, (3, *size)) for _ in samples], data_samples=samples)

    losses = model(**model.data_preprocessor(batch(), True), mode='loss')
    sum(value for key, value in losses.items() if 'loss' in key).backward()
    assert all(param.grad is not None and param.grad.isfinite().all() for param in model.parameters())
    model.eval()
    for mode in ('whole', 'slide'):
        model.test_cfg.mode = mode
        for sample in model.test_step(batch()):
            assert sample.pred_sem_seg.data.shape == (1, *size)


def test_inference_on_an_array(root, data):
    model = init_model(load_small(root, data), device='cpu')
    image = np.random.RandomState(0).randint(0, 256, (70, 90, 3)).astype(np.uint8)
    assert inference_model(model, image).pred_sem_seg.data.shape == (1, 70, 90)


def test_multi_scale_prediction_is_the_mean_over_scales_and_flips(root, data, tmp_path):
    """Each probability map is recomputed window by window with plain torch."""
    cfg = load_small(root, data)
    for resize, ratio in zip(cfg.tta_pipeline[1].transforms[0], (0.5, 0.75, 1, 1.25, 1.5, 1.75)):
        assert resize.scale == (int(2048 * ratio), int(512 * ratio))
        resize.scale = tuple(value // 8 for value in resize.scale)
    enable_tta(cfg)
    tta = build_runner(cfg, tmp_path / 'work').model.eval()
    model = tta.module
    with DefaultScope.overwrite_default_scope('mmseg'):
        item = DATASETS.build(cfg.test_dataloader.dataset)[0]
    batch = {key: [[part] for part in item[key]] for key in ('inputs', 'data_samples')}
    assert len(item['inputs']) == 12
    with torch.no_grad():
        (found,) = tta.test_step(copy.deepcopy(batch))

    total = torch.zeros(150, 64, 64)
    mean, std = model.data_preprocessor.mean, model.data_preprocessor.std
    for index, image in enumerate(item['inputs']):
        side = int(64 * (0.5, 0.75, 1, 1.25, 1.5, 1.75)[index // 2])
        assert image.shape == (3, side, side)
        x = (image[[2, 1, 0]].float() - mean) / std
        logits, count = torch.zeros(150, side, side), torch.zeros(side, side)
        starts = [0] if side <= 64 else sorted({min(start, side - 64) for start in range(0, side, 42)})
        for top in starts:
            for left in starts:
                window = x[None, :, top : top + 64, left : left + 64]
                with torch.no_grad():
                    out = model.decode_head(model.backbone(window))
                out = F.interpolate(out, size=window.shape[-2:], mode='bilinear')
                logits[:, top : top + 64, left : left + 64] += out[0]
                count[top : top + 64, left : left + 64] += 1
        logits = logits / count
        if index % 2:
            logits = logits.flip(-1)
        total += F.interpolate(logits[None], size=(64, 64), mode='bilinear')[0].softmax(0)
    best = total.topk(2, dim=0).values
    clear = best[0] - best[1] > 1e-4
    assert clear.float().mean() > 0.5
    assert torch.equal(found.pred_sem_seg.data.squeeze()[clear], total.argmax(0)[clear])
