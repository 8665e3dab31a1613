"""The resolved configs against the recipes, written down as data in assets/recipes.json.

Each config lists the ``parts`` that it shares with others and its own values. Keys are config keys,
joined by dots; null means absent or None.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope

from mmcednet.paper.tables import CONFIGS

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
    return [
        f'{where}: {difference}'
        for part in parts
        for difference in find_differences(part, cfg.to_dict())
    ]


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
        assert cfg.custom_imports.imports == ['mmcednet']
        assert set(cfg.model.backbone) == set(RECIPES['configs'][name]['model.backbone'])


@pytest.mark.parametrize(
    ('name', 'change', 'row'),
    [
        ('retinanet/cednet_t.py', {'optim_wrapper.optimizer.lr': 2e-4}, 'Table 1, CEDNet-NeXt-T (FPN'),
        ('retinanet/cednet_s.py', {'model.backbone.drop_path_rate': 0.2}, 'Table 2b, CEDNet-NeXt-S'),
        ('mask_rcnn/cednet_s.py', {'optim_wrapper.paramwise_cfg.num_layers': 7}, 'Table 2c, CEDNet'),
        ('mask_rcnn/swin_t_fpn.py', {'train_dataloader.dataset.prob': 1.0}, 'Table 2c, Swin-T'),
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
        ('upernet/swin_b.py', {'model.test_cfg.mode': 'whole'}, 'Table 3, Swin-B'),
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


def get_learning_rates(cfg: Config) -> dict[str, float]:
    """Each parameter's learning rate."""
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
        cfg.optim_wrapper.type = 'OptimWrapper'  # in float32, which a CPU needs
        optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    names = {param: name for name, param in model.named_parameters()}
    return {names[param]: group['lr'] for group in optimizer.param_groups for param in group['params']}


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
