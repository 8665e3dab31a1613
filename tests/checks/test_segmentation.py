"""Segmenters whose data, heads or batches cannot work are reported before a run starts."""

import shutil

import cv2
import numpy as np
import pytest
from label_maps import draw_label_maps
from mmengine.registry import init_default_scope
from small_segmenter import build_runner, load_small

from mmcednet.checks import check_data
from mmcednet.checks.segmentation import (
    check_segmentation,
    check_segmentation_data,
    loads_label_maps,
)


@pytest.fixture
def data(ade20k, tmp_path):
    """A copy of the data that a test may damage."""
    return shutil.copytree(ade20k, tmp_path / 'ade20k')


def check(root, data, tmp_path, **changes) -> None:
    runner = build_runner(load_small(root, data, **changes), tmp_path / 'work')
    check_segmentation(runner, 'train', 'val')


def test_valid_dataset_passes(root, data, tmp_path):
    check(root, data, tmp_path)


def test_images_of_two_splits(root, data, log):
    for folder in ('images', 'annotations'):
        shutil.rmtree(data / folder / 'validation')
        (data / folder / 'validation').symlink_to('training')
    init_default_scope('mmseg')
    check_segmentation_data(load_small(root, data), 'train', 'val')
    assert 'images are in the training and in the val data' in log.text


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


def test_label_map_of_another_size(root, data, tmp_path):
    path = data / 'annotations' / 'validation' / '00001.png'
    labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(path), labels[:32])
    with pytest.raises(ValueError, match=rf'^the label map {path} has 64x32 px, its image \S+ 64x64$'):
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


def test_dataset_without_label_maps(root, data, tmp_path):
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
    """STDC's auxiliary head learns boundaries instead of the dataset's classes."""
    head = dict(type='STDCHead', in_channels=6, in_index=4, channels=8, num_classes=2, num_convs=1)
    loss = dict(type='CrossEntropyLoss', use_sigmoid=True)
    head |= dict(boundary_threshold=0.1, norm_cfg=dict(type='BN'), loss_decode=loss)
    cfg = load_small(root, data)
    cfg.model.auxiliary_head = head
    check_segmentation(build_runner(cfg, tmp_path / 'work'), 'train')


def test_ids_of_other_datasets(root, shapes, tmp_path):
    """Ids that start at 0, and a dataset with fewer classes than ids on disk."""
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


@pytest.mark.parametrize(('drop_last', 'fails'), [(False, True), (True, False)])
def test_last_batch_of_one_image(root, data, tmp_path, drop_last, fails):
    cfg = load_small(root, data, **{'train_dataloader.dataset.indices': 5})
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


def load_drawn(root, folder, values=None):
    """The small segmenter with two classes, on the data of ``draw_label_maps``."""
    init_default_scope('mmseg')
    cfg = load_small(root, folder)
    cfg.merge_from_dict({'model.decode_head.num_classes': 2, 'model.auxiliary_head.num_classes': 2})
    for loader, split in ((cfg.train_dataloader, 'train'), (cfg.val_dataloader, 'val')):
        steps = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
        steps += [dict(type='MapLabels', values=values)] if values else []
        loader.dataset = dict(
            type='BaseSegDataset',
            data_root=str(folder),
            data_prefix=dict(img_path=f'images/{split}', seg_map_path=f'annotations/{split}'),
            metainfo=dict(classes=('background', 'object')),
            pipeline=[dict(type='NamedImageErrors', transforms=steps)],
        )
    return cfg


def test_one_class_only(root, tmp_path):
    """Objects that are drawn with 255 are ignored, unless their value is mapped."""
    draw_label_maps(tmp_path / 'data', (0, 255))
    with pytest.raises(ValueError, match=r"annotations/train have pixels of one class only, 'backgr"):
        check_segmentation_data(load_drawn(root, tmp_path / 'data'), 'train')
    check_segmentation_data(load_drawn(root, tmp_path / 'data'), 'val')
    check_segmentation_data(load_drawn(root, tmp_path / 'data', (0, 255)), 'train', 'val')


def test_mapped_values(root, tmp_path):
    draw_label_maps(tmp_path / 'data', (0, 128))
    with pytest.raises(ValueError, match=r'has the id 128; valid ids are 0 and 255 for the 2 classes$'):
        check_segmentation_data(load_drawn(root, tmp_path / 'data', (0, 255)), 'train')
    with pytest.raises(ValueError, match=r'values \(0, 128, 255\), one per class, .* has 2 classes'):
        check_segmentation_data(load_drawn(root, tmp_path / 'data', (0, 128, 255)), 'train')
    cfg = load_drawn(root, tmp_path / 'data', (0, 128))
    cfg.train_dataloader.dataset.reduce_zero_label = True
    with pytest.raises(ValueError, match='BaseSegDataset must neither have reduce_zero_label nor'):
        check_segmentation_data(cfg, 'train')
