"""Pre-training configs against the paper's recipe, and against the detectors that start from them."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

# drop path, epochs; the rest of the recipe is the same for all
RECIPES = {
    'cednet_t': (0.1, 300),
    'cednet_s': (0.4, 300),
    'cednet_b': (0.5, 300),
    'cednet_t_unet': (0.1, 300),
    'cednet_t_hourglass': (0.1, 300),
    'cednet_r50_t': (0.0, 300),
    'cednet_swin_t': (0.1, 300),
    'cednet_cswin_t': (0.1, 300),
    'ablation/stages_1': (0.1, 100),
    'ablation/stages_2': (0.1, 100),
    'ablation/stages_3': (0.1, 100),
    'ablation/stages_4': (0.1, 100),
    'ablation/fusion_1_6': (0.1, 100),
    'ablation/fusion_2_6': (0.1, 100),
    'ablation/fusion_4_6': (0.1, 100),
    'ablation/fusion_5_6': (0.1, 100),
    'ablation/cednet_t_without_long_range': (0.1, 300),
}


def load_config(root, name):
    return Config.fromfile(root / 'configs' / 'imagenet' / f'{name}.py')


def build_model(model, scope):
    with DefaultScope.overwrite_default_scope(scope), torch.device('meta'):
        return MODELS.build(model)


def test_every_config_has_a_recipe(root):
    folder = root / 'configs' / 'imagenet'
    names = {str(path.relative_to(folder).with_suffix('')) for path in folder.rglob('*.py')}
    assert names == {*RECIPES, 'cednet_nano_shapes', 'cednet_nano_tiny_imagenet'}


@pytest.mark.parametrize('name', RECIPES)
def test_recipe(root, name):
    drop_path, epochs = RECIPES[name]
    cfg = load_config(root, name)
    assert cfg.model.backbone.drop_path_rate == drop_path
    assert cfg.model.backbone.layer_scale == 1e-6
    assert not cfg.model.backbone.final_decoder
    assert cfg.train_cfg == dict(by_epoch=True, max_epochs=epochs, val_interval=1)
    assert cfg.optim_wrapper == dict(
        optimizer=dict(type='AdamW', lr=4e-3, betas=(0.9, 0.999), weight_decay=0.05),
        paramwise_cfg=dict(flat_decay_mult=0.0),
    )
    warmup, cosine = cfg.param_scheduler
    assert (warmup.type, warmup.begin, warmup.end) == ('LinearLR', 0, 20)
    assert (cosine.type, cosine.begin, cosine.end) == ('CosineAnnealingLR', 20, epochs)
    assert cosine.eta_min == 1e-6
    assert warmup.convert_to_iter_based
    assert cosine.convert_to_iter_based
    assert cfg.train_dataloader.batch_size == 128
    assert cfg.auto_scale_lr == dict(enable=False, base_batch_size=4096)
    assert [hook.type for hook in cfg.custom_hooks] == ['EMAHook']
    assert cfg.custom_hooks[0].momentum == 1e-4  # 1 - 0.9999


def test_augmentation(root):
    cfg = load_config(root, 'cednet_t')
    steps = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    crop, augment, erasing = (
        steps[name] for name in ('RandomResizedCrop', 'RandAugment', 'RandomErasing')
    )
    assert (crop.scale, crop.interpolation) == (224, 'bicubic')
    assert augment.policies == 'timm_increasing'  # inc1
    assert (augment.magnitude_level, augment.magnitude_std, augment.num_policies) == (9, 0.5, 2)
    assert (erasing.erase_prob, erasing.mode) == (0.25, 'rand')
    assert cfg.model.train_cfg.augments == [
        dict(type='Mixup', alpha=0.8),
        dict(type='CutMix', alpha=1.0),
    ]
    loss = cfg.model.head.loss
    assert (loss.type, loss.label_smooth_val) == ('LabelSmoothLoss', 0.1)


@pytest.mark.parametrize('name', RECIPES)
def test_weights_fit_the_detector_of_the_same_name(root, name):
    """Stem and stages; the detector's last decoder and pyramid keep their initialisation."""
    model = build_model(load_config(root, name).model, 'mmpretrain')
    model.loss(torch.empty(1, 3, 224, 224, device='meta'), SCORES)  # the head fits the backbone
    detector = Config.fromfile(root / 'configs' / 'retinanet' / f'{name}.py').model.backbone
    target = build_model(detector, 'mmdet').state_dict()
    weights = model.backbone.state_dict()
    assert {key: value.shape for key, value in weights.items()} == {
        key: target[key].shape for key in weights
    }
    last = f'stages.{len(model.backbone.stages) - 1}.decoder.'
    assert all(key.startswith((last, 'pyramid.')) for key in target.keys() - weights.keys())


class Score:
    """A label after mixup."""

    gt_score = torch.empty(1000, device='meta')

    def __contains__(self, key):
        return key == 'gt_score'


SCORES = [Score()]
