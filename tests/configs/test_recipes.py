"""The resolved configs against the recipes, written down as data in assets/recipes.json.

Each config lists the ``parts`` that it shares with others and its own values. Keys are config keys,
joined by dots; null means absent or None.
A part that corrects an earlier reading of the paper names its ``source``, a file of the released code.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope
from paper.tables import CONFIGS

RECIPES = json.loads((Path(__file__).parents[1] / 'assets' / 'recipes.json').read_text())
OTHER_TESTS = ('_base_/', 'imagenet/')


def find_differences(expected: Any, found: Any, path: str = '') -> Iterator[str]:
    """Yield a sentence for each value of ``expected`` that ``found`` lacks; it may contain more."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            inner = found
            for part in key.split('.'):
                inner = inner.get(part) if isinstance(inner, dict) else None
            yield from find_differences(value, inner, f'{path}.{key}'.lstrip('.'))
    elif (
        isinstance(expected, list) and isinstance(found, (list, tuple)) and len(expected) == len(found)
    ):
        for i, (value, inner) in enumerate(zip(expected, found)):
            yield from find_differences(value, inner, f'{path}.{i}')
    elif expected != found:
        yield f'{path} is {found!r}, the recipe says {expected!r}'


def find_recipe_errors(name: str, cfg: Config) -> list[str]:
    """Describe each difference between a config and its recipe, with its rows in the paper."""
    recipe = dict(RECIPES['configs'][name])
    rows = [f'Table {table}, {method}' for (table, method), config in CONFIGS.items() if config == name]
    parts = [RECIPES['parts'][part] for part in recipe.pop('parts')] + [recipe]
    where = f'{name} ({"; ".join(rows) or "in no table"})'
    found = []
    for part in map(dict, parts):
        source = part.pop('source', None)
        for difference in find_differences(part, cfg.to_dict()):
            found.append(f'{where}: {difference}' + (f' ({source})' if source else ''))
    return found


def load_config(root: Path, name: str) -> Config:
    return Config.fromfile(root / 'configs' / name)


def test_every_config_has_a_recipe(root):
    configs = {str(path.relative_to(root / 'configs')) for path in (root / 'configs').rglob('*.py')}
    ours = {name for name in configs if not name.startswith(OTHER_TESTS) and '_nano_' not in name}
    assert ours == set(RECIPES['configs'])


@pytest.mark.parametrize('name', RECIPES['configs'])
def test_recipe(name, root):
    cfg = load_config(root, name)
    assert find_recipe_errors(name, cfg) == []
    if cfg.default_scope == 'mmdet':
        masks = 'segm' in cfg.test_evaluator.metric
        train = cfg.train_dataloader.dataset
        for dataset in (train.get('dataset', train), cfg.test_dataloader.dataset):
            (load_annotations,) = (step for step in dataset.pipeline if step.type == 'LoadAnnotations')
            assert load_annotations.get('with_mask', False) == masks
    if cfg.model.backbone.type == 'CEDNet':
        heads = ['mmcednet.heads'] if name.startswith('mask2former/') else []
        assert cfg.custom_imports.imports == ['mmcednet', *heads]
        assert set(cfg.model.backbone) == set(RECIPES['configs'][name]['model.backbone'])


@pytest.mark.parametrize(
    ('name', 'change', 'row'),
    [
        ('retinanet/cednet_t.py', {'optim_wrapper.optimizer.lr': 2e-4}, 'Table 1, CEDNet-NeXt-T (FPN'),
        ('retinanet/cednet_s.py', {'model.backbone.drop_path_rate': 0.2}, 'Table 2b, CEDNet-NeXt-S'),
        ('mask_rcnn/cednet_s.py', {'optim_wrapper.paramwise_cfg.num_layers': 7}, 'Table 2c, CEDNet'),
        ('retinanet/swin_t_fpn_lsj.py', {'train_dataloader.dataset.prob': 1.0}, 'Table 5, Swin-T'),
        (
            'cascade_mask_rcnn/cednet_b.py',
            {'param_scheduler.1.milestones': [24, 33]},
            'Table 2d, CEDNet',
        ),
        (
            'cascade_mask_rcnn/convnext_t_fpn.py',
            {'model.roi_head.bbox_head.2.loss_bbox.loss_weight': 1.0},
            'Table 2d, ConvNeXt-T',
        ),
        (
            'deformable_detr/convnext_t.py',
            {'optim_wrapper.clip_grad.max_norm': 1},
            'Table 2a, ConvNeXt-T',
        ),
        ('retinanet/ablation/stages_4.py', {'train_cfg.max_epochs': 36}, 'Table 6, CEDNet-NeXt-T 4 st'),
        ('upernet/cednet_b.py', {'model.backbone.layer_scale': 1e-6}, 'Table 3, CEDNet-NeXt-B'),
        (
            'upernet/convnext_s.py',
            {'optim_wrapper.paramwise_cfg.decay_type': 'layer_wise'},
            'Table 3, ConvNeXt-S',
        ),
        ('upernet/swin_b.py', {'model.test_cfg.mode': 'slide'}, 'Table 3, Swin-B'),
        ('mask2former/cednet_t.py', {'optim_wrapper.clip_grad.max_norm': 0.1}, 'in no table'),
    ],
)
def test_a_changed_number_is_found(name, change, row, root):
    cfg = load_config(root, name)
    cfg.merge_from_dict(change)
    (difference,) = find_recipe_errors(name, cfg)
    assert difference.startswith(name)
    assert row in difference
    assert next(iter(change)) in difference


@pytest.mark.parametrize(
    ('name', 'change', 'source'),
    [
        (
            'retinanet/cednet_t.py',
            {'optim_wrapper.paramwise_cfg.head_weight_decay': 0.05},
            'ced-mmdet/mmdet/core/optimizers/layer_decay_optimizer_constructor.py, after_backbone',
        ),
        (
            'deformable_detr/cednet_t.py',
            {'optim_wrapper.paramwise_cfg.custom_keys.sampling_offsets.lr_mult': 1.0},
            'hard coding for deformable detr',
        ),
        (
            'cascade_mask_rcnn/cednet_t.py',
            {'model.train_cfg.rpn.allowed_border': 0},
            'ced-mmdet/configs/_base_/models/cascade_mask_rcnn_convnext_fpn.py',
        ),
    ],
)
def test_a_corrected_value_names_its_source(name, change, source, root):
    cfg = load_config(root, name)
    cfg.merge_from_dict(change)
    (difference,) = find_recipe_errors(name, cfg)
    assert difference.endswith(f'{source})')


def get_optimizer_settings(cfg: Config) -> dict[str, tuple[float, float]]:
    """Each parameter's learning rate and weight decay."""
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
        cfg.optim_wrapper.type = 'OptimWrapper'  # in float32, which a CPU needs
        optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    names = {param: name for name, param in model.named_parameters()}
    return {
        names[param]: (group['lr'], group['weight_decay'])
        for group in optimizer.param_groups
        for param in group['params']
    }


def get_learning_rates(cfg: Config) -> dict[str, float]:
    return {name: lr for name, (lr, _) in get_optimizer_settings(cfg).items()}


@pytest.mark.parametrize(
    'name', ['retinanet/cednet_t.py', 'retinanet/convnext_t_fpn.py', 'retinanet/r50_fpn.py']
)
def test_weight_decay_of_detectors(name, root):
    """1e-4 outside the backbone; inside, 0.05 for all but one-dimensional parameters and biases."""
    cfg = load_config(root, name)
    with DefaultScope.overwrite_default_scope('mmdet'):
        dimensions = {key: param.ndim for key, param in MODELS.build(cfg.model).named_parameters()}
    for key, (_, weight_decay) in get_optimizer_settings(cfg).items():
        inside = 0.0 if dimensions[key] == 1 else 0.05
        assert weight_decay == pytest.approx(inside if key.startswith('backbone.') else 1e-4), key


def test_weight_decay_of_segmenters(root):
    for key, (_, weight_decay) in get_optimizer_settings(
        load_config(root, 'upernet/cednet_t.py')
    ).items():
        assert weight_decay in (0.0, 0.05), key


def test_deformable_detr_has_slow_offsets_and_reference_points(root):
    settings = get_optimizer_settings(load_config(root, 'deformable_detr/cednet_t.py'))
    slow = {
        key: value
        for key, value in settings.items()
        if 'sampling_offsets' in key or 'reference_points' in key
    }
    assert len(slow) == 2 * (6 + 6 + 1)
    for lr, weight_decay in slow.values():
        assert (lr, weight_decay) == (pytest.approx(2e-5), 1e-4)
    rates = {key: lr for key, (lr, _) in settings.items() if key not in slow}
    assert {lr for key, lr in rates.items() if not key.startswith('backbone.s')} == {2e-4}
    assert min(rates.values()) == pytest.approx(2e-4 * 0.5**5)


@pytest.mark.parametrize(
    ('name', 'rate', 'layers', 'blocks'),
    [
        ('retinanet/convnext_t_fpn.py', 0.95, 6, (3, 3, 9, 3)),
        ('cascade_mask_rcnn/convnext_s_fpn.py', 0.7, 12, (3, 3, 27, 3)),
    ],
)
def test_convnext_has_the_rates_of_its_authors(name, rate, layers, blocks, root):
    """Layer 0 is the stem, 1 and 2 the first stages, then three blocks each, then the last stage."""
    cfg = load_config(root, name)
    rates = get_learning_rates(cfg)
    layer_of = {f'downsample_layers.{i}': layer for i, layer in enumerate((0, 2, 3, layers))}
    for stage, number in enumerate(blocks):
        for block in range(number):
            layer_of[f'stages.{stage}.{block}'] = (1, 2, 3 + block // 3, layers)[stage]
    lr = cfg.optim_wrapper.optimizer.lr
    for part, layer in layer_of.items():
        (found,) = {value for name, value in rates.items() if name.startswith(f'backbone.{part}.')}
        assert found == pytest.approx(lr * rate ** (layers + 1 - layer))
    (found,) = {value for name, value in rates.items() if not name.startswith('backbone.')}
    assert found == lr


@pytest.mark.parametrize(
    ('name', 'layers'), [('upernet/convnext_t.py', 6), ('upernet/convnext_s.py', 12)]
)
def test_convnext_for_segmentation_has_a_rate_for_each_stage(name, layers, root):
    """Layer 0 is the stem with the other strided convolutions, 1 to 4 are the stages."""
    rates = get_learning_rates(load_config(root, name))
    layer_of = {'downsample_layers': 0} | {f'stages.{i}': i + 1 for i in range(4)}
    for part, layer in layer_of.items():
        (found,) = {value for name, value in rates.items() if name.startswith(f'backbone.{part}.')}
        assert found == pytest.approx(1e-4 * 0.9 ** (layers + 1 - layer))
    (found,) = {value for name, value in rates.items() if not name.startswith('backbone.')}
    assert found == pytest.approx(1e-4)


def test_cednet_for_segmentation_has_the_rates_of_the_recipe(root):
    rates = get_learning_rates(load_config(root, 'upernet/cednet_s.py'))
    for part, group in {
        'backbone.stem.conv1': 0,
        'backbone.stem.downsample': 1,
        'backbone.stages.0.encoder.level3': 2,
        'backbone.stages.2.encoder.level5': 7,
        'backbone.stages.3': 8,  # never more than the heads'
        'decode_head': 8,
        'auxiliary_head': 8,
    }.items():
        (found,) = {value for name, value in rates.items() if name.startswith(f'{part}.')}
        assert found == pytest.approx(1e-4 * 0.9 ** (8 - group))


FPN_STYLE = [
    name
    for name, recipe in RECIPES['configs'].items()
    if recipe['model.backbone']['type'] == 'CEDNet'
    and recipe['model.backbone'].get('style', 'fpn') == 'fpn'
]


@pytest.mark.parametrize('name', FPN_STYLE)
def test_one_option_gives_the_released_network(name, root):
    """``--cfg-options model.backbone.final_decoder=False``; docs/fidelity.md has the costs."""
    cfg = load_config(root, name)
    with torch.device('meta'):
        ours = MODELS.build(cfg.model.backbone)
        cfg.merge_from_dict({'model.backbone.final_decoder': False})
        released = MODELS.build(cfg.model.backbone)
    last = f'stages.{len(ours.stages) - 1}.decoder.'
    removed = ours.state_dict().keys() - released.state_dict().keys()
    assert removed
    assert all(key.startswith(last) for key in removed)
    assert not released.state_dict().keys() - ours.state_dict().keys()
    assert released.out_strides == ours.out_strides
