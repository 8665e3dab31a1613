"""The resolved configs against the recipes, written down here as data."""

import pytest
from mmengine.config import Config

# config -> arch, decay type, layers, drop path
RETINANET = {
    'cednet_t': ('tiny', 'coarse', 4, 0.2),
    'cednet_s': ('small', 'fine', 9, 0.3),
    'cednet_b': ('base', 'fine', 9, 0.3),
}


@pytest.fixture(params=RETINANET)
def recipe(request, root):
    cfg = Config.fromfile(root / 'configs' / 'retinanet' / f'{request.param}.py')
    return cfg, RETINANET[request.param]


def test_model(recipe):
    cfg, (arch, _, _, drop_path) = recipe
    assert cfg.model.type == 'RetinaNet'
    assert cfg.model.neck is None
    backbone = cfg.model.backbone.to_dict()
    assert backbone == dict(
        type='CEDNet',
        arch=arch,
        pyramid=dict(levels=(3, 4, 5, 6, 7), channels=256),
        drop_path_rate=drop_path,
        layer_scale=1e-6,
    )
    assert cfg.model.data_preprocessor.pad_size_divisor == 128
    assert cfg.model.bbox_head.stacked_convs == 4
    assert cfg.custom_imports.imports == ['mmcednet']


def test_schedule(recipe):
    cfg, (_, decay_type, layers, _) = recipe
    assert cfg.optim_wrapper.to_dict() == dict(
        type='AmpOptimWrapper',
        optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
        constructor='LayerDecayOptimWrapperConstructor',
        paramwise_cfg=dict(decay_type=decay_type, decay_rate=0.95, num_layers=layers),
    )
    warm_up, steps = cfg.param_scheduler
    assert (warm_up.type, warm_up.start_factor, warm_up.end, warm_up.by_epoch) == (
        'LinearLR',
        0.001,
        500,
        False,
    )
    assert (steps.type, steps.milestones, steps.gamma) == ('MultiStepLR', [27, 33], 0.1)
    assert cfg.train_cfg.max_epochs == steps.end == 36
    assert cfg.train_dataloader.batch_size == 2
    assert cfg.auto_scale_lr.to_dict() == dict(enable=False, base_batch_size=16)


def test_augmentation(recipe):
    cfg, _ = recipe
    paired = cfg.train_dataloader.dataset
    assert (paired.type, paired.prob) == ('PairedDataset', 0.5)
    steps = {step.type: step.to_dict() for step in paired.dataset.pipeline}
    assert list(steps) == [
        'LoadImageFromFile',
        'LoadAnnotations',
        'RandomResize',
        'RandomCrop',
        'FilterAnnotations',
        'RandomFlip',
        'Pad',
    ]
    assert steps['LoadAnnotations'] == dict(type='LoadAnnotations', with_bbox=True)
    resize, crop = steps['RandomResize'], steps['RandomCrop']
    assert (resize['scale'], resize['ratio_range'], resize['keep_ratio']) == (
        (1024, 1024),
        (0.1, 2.0),
        True,
    )
    assert (crop['crop_type'], crop['crop_size'], crop['allow_negative_crop']) == (
        'absolute',
        (1024, 1024),
        True,
    )
    assert steps['FilterAnnotations']['min_gt_bbox_wh'] == (0.01, 0.01)
    assert steps['RandomFlip']['prob'] == 0.5
    assert steps['Pad']['size'] == (1024, 1024)
    paste = paired.pipeline[0].to_dict()
    assert paste == dict(type='BoxCopyPaste', max_iou=0.2, max_pasted=7, margin=15)
    assert paired.dataset.ann_file == 'annotations/instances_train2017.json'


def test_testing(recipe):
    cfg, _ = recipe
    resize = cfg.test_dataloader.dataset.pipeline[1]
    assert (resize.type, resize.scale, resize.keep_ratio) == ('Resize', (1333, 800), True)
    assert cfg.test_evaluator.metric == 'bbox'
    assert cfg.test_dataloader.dataset.ann_file == 'annotations/instances_val2017.json'
