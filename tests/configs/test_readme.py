"""configs/README.md against the configs: every row is computed from the resolved config."""

import re
from pathlib import Path

import pytest
from mmengine.config import Config
from paper.tables import CONFIGS

from mmcednet import baselines

ROOT = Path(__file__).resolve().parents[2] / 'configs'
# Transforms that tell the augmentations apart; the first match decides
AUGMENTATIONS = {
    'BoxCopyPaste': 'LSJ, copy-paste',
    'LargeScaleJitter': 'scale jitter',
    'PhotoMetricDistortion': 'ADE20K',
    'RandAugment': 'ImageNet',
    'RandomChoice': 'DETR',
    'RandomCrop': 'LSJ',
    'RandomResize': 'multi-scale',
    'RandomChoiceResize': 'multi-scale',
}


def read_rows() -> dict[str, list[str]]:
    """The cells of each config's row, by the config's path."""
    rows = {}
    for line in (ROOT / 'README.md').read_text(encoding='utf-8').splitlines():
        cells = line.strip('| ').split(' | ')
        link = re.fullmatch(r'\[(.+)\]\((.+)\.py\)', cells[0])
        if link:
            assert link[2].endswith(f'/{link[1]}'), line
            assert f'{link[2]}.py' not in rows, line
            rows[f'{link[2]}.py'] = cells[1:]
    return rows


def collect_transforms(node: object) -> set[str]:
    """The types of all transforms in a data loader's config."""
    if isinstance(node, dict):
        found = set().union(*map(collect_transforms, node.values()))
        return found | {node['type']} if isinstance(node.get('type'), str) else found
    return set().union(*map(collect_transforms, node)) if isinstance(node, (list, tuple)) else set()


def describe_schedule(cfg: Config) -> str:
    if 'max_iters' in cfg.train_cfg:
        return f'{cfg.train_cfg.max_iters:,} iterations'
    return f'{cfg.train_cfg.max_epochs} epochs'


def describe_augmentation(cfg: Config) -> str:
    names = collect_transforms(cfg.train_dataloader)
    return next((text for name, text in AUGMENTATIONS.items() if name in names), 'flip')


def describe_batch(cfg: Config) -> str:
    images = cfg.train_dataloader.batch_size
    total = cfg.get('auto_scale_lr', {}).get('base_batch_size', images)
    return f'{total} ({total // images} x {images})'


ROWS = read_rows()


def test_every_config_has_a_row():
    files = {path.relative_to(ROOT).as_posix() for path in ROOT.rglob('*.py')}
    assert {name for name in files if not name.startswith('_base_/')} == set(ROWS)


@pytest.mark.parametrize('name', ROWS)
def test_row(name):
    cfg = Config.fromfile(ROOT / name)
    tables, schedule, augmentation, batch, pretraining = ROWS[name]
    expected = {table for (table, _), config in CONFIGS.items() if config == name}
    assert set(tables.split(', ')) == (expected or {'-'})
    assert schedule == describe_schedule(cfg)
    assert augmentation == describe_augmentation(cfg)
    assert batch == describe_batch(cfg)
    weights = re.match(r'\[(.+)\]\(\1\.py\)', pretraining)
    if weights:  # test_imagenet.py tests that the weights fit
        source = Config.fromfile(ROOT / f'{weights[1]}.py').model.backbone
        assert cfg.model.backbone.type == source.type == 'CEDNet'
        assert source.arch == cfg.model.backbone.arch
    elif pretraining == 'converted':
        assert hasattr(baselines, cfg.model.backbone.type)
    else:
        downloads = bool(re.search(r"'https?://|torchvision://|open-mmlab://", str(cfg.model)))
        assert pretraining == ('downloaded' if downloads else '-')
