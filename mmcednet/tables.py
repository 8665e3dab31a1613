"""The paper's tables as data: which config is which row, and what a config's model costs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch.utils.flop_counter import FlopCounterMode

PAPER = Path(__file__).with_name('paper_tables.json')
IMAGE_SIZES = {'coco': (800, 1280), 'ade20k': (512, 2048)}  # (H, W)

# (table, method) -> config; Table 7's rows are told apart by their augmentation
CONFIGS = {
    ('1', 'CEDNet-NeXt-T (FPN-style)'): 'retinanet/cednet_t.py',
    ('2b', 'CEDNet-NeXt-T'): 'retinanet/cednet_t.py',
    ('2b', 'CEDNet-NeXt-S'): 'retinanet/cednet_s.py',
    ('5', 'CEDNet-NeXt-T'): 'retinanet/cednet_t.py',
    ('7', 'CEDNet-NeXt-T lsj+copy-paste'): 'retinanet/cednet_t.py',
    ('8', 'CEDNet-NeXt-T with LR block'): 'retinanet/cednet_t.py',
}
# What the network of the paper's text costs: config -> (parameters in M, G multiply-adds)
TEXT = {
    'retinanet/cednet_t.py': (38.88, 254.8),
    'retinanet/cednet_s.py': (61.23, 335.6),
}


class Cost(NamedTuple):
    params: float  # M
    macs: float  # G multiply-adds


class Row(NamedTuple):
    """A row of a table: the paper's figures, and ours where there is a config."""

    table: str
    framework: str
    method: str
    paper_params: float | None  # M
    paper_macs: float | None  # G multiply-adds
    paper_ap: float | None  # box AP on COCO, mIoU on ADE20K, %
    config: str | None  # below configs/
    params: float | None
    macs: float | None


def paper_rows(table: str | None = None) -> list[dict]:
    """The rows of the paper's tables as they are printed there, or of one table.

    Raises:
        ValueError: There is no such table.
    """
    rows = json.loads(PAPER.read_text(encoding='utf-8'))['rows']
    tables = sorted({row['table'] for row in rows})
    if table is not None and table not in tables:
        raise ValueError(f'table {table!r} is none of the paper: {", ".join(tables)}')
    return [row for row in rows if table in (None, row['table'])]


def cost(config: str | Path, image_size: tuple[int, int]) -> Cost:
    """Parameters and multiply-adds of the model of a config, heads included.

    Convolutions, linears and matrix products count, one multiply-add as one. Everything runs on
    the meta device: no weights, no arithmetic.

    Args:
        config: File.
        image_size: (H, W) in px.
    """
    cfg = Config.fromfile(config)
    scope = cfg.get('default_scope', 'mmengine')
    with DefaultScope.overwrite_default_scope(scope), torch.device('meta'), torch.no_grad():
        model = MODELS.build(cfg.model).eval()
        images = torch.empty(1, 3, *image_size)
        with FlopCounterMode(display=False) as counter:
            model(images, mode='tensor')
    params = sum(param.numel() for param in model.parameters())
    return Cost(params / 1e6, counter.get_total_flops() / 2 / 1e9)


def rows(configs: Path, table: str | None = None) -> Iterator[Row]:
    """Each row of the paper, or of one table, with the cost of its config.

    Args:
        configs: The folder of configs.
        table: Name of the table, such as '2b'. Default: all.
    """
    costs: dict[str, Cost] = {}
    for row in paper_rows(table):
        method = f'{row["method"]} {row["aug"]}' if 'aug' in row else row['method']
        config = CONFIGS.get((row['table'], method))
        if config and config not in costs:
            costs[config] = cost(configs / config, IMAGE_SIZES[row['dataset']])
        params, macs = costs[config] if config else (None, None)
        yield Row(
            table=row['table'],
            framework=row['framework'],
            method=method,
            paper_params=row.get('params_m'),
            paper_macs=row.get('flops_g'),
            paper_ap=row.get('ap', row.get('miou_ss')),
            config=config,
            params=params,
            macs=macs,
        )


def deviations(row: Row) -> list[str]:
    """Sentences about what of a row is too far from the figures to meet.

    CEDNet: 0.02 M and 0.3 % from the text's network, 1 M and 0.5 % from the paper's table; other
    models, 1 M or 2 % of the parameters and 2 % of the multiply-adds.
    """
    if row.config is None:
        return []
    off = []

    def check(what: str, ours: float, theirs: float | None, tolerance: float, unit: str) -> None:
        if theirs is not None and abs(ours - theirs) > tolerance:
            off.append(
                f'Table {row.table}, {row.method}: {ours:.2f} {unit}, {what} {theirs} {unit}, '
                f'more than {tolerance:.2f} apart'
            )

    if row.method.startswith('CEDNet'):
        params, macs = TEXT[row.config]
        check("the text's network has", row.params, params, 0.02, 'M')
        check("the text's network has", row.macs, macs, 0.003 * macs, 'GMAC')
        params, macs = 1.0, 0.005
    else:
        params, macs = max(1.0, 0.02 * (row.paper_params or 0)), 0.02
    check('the paper prints', row.params, row.paper_params, params, 'M')
    check('the paper prints', row.macs, row.paper_macs, macs * (row.paper_macs or 0), 'GMAC')
    return off
