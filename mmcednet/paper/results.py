"""docs/results.md and the files that ``mim`` reads: the paper's rows, our configs, what was trained."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import yaml
from mmengine.config import Config

from mmcednet.engine.metrics import per_cent

from .tables import KNOWN_DEVIATIONS, Row, misprints, paper_rows

# The tables' names of metrics -> the logs'
METRICS = {'ap': 'coco/bbox_mAP', 'mask_ap': 'coco/segm_mAP', 'miou_ss': 'mIoU'}
TITLES = {'ap': 'box AP', 'mask_ap': 'mask AP', 'miou_ss': 'mIoU', 'miou_ms': 'mIoU, multi-scale'}
FRAMEWORKS = {
    'retinanet': 'RetinaNet',
    'mask_rcnn': 'Mask R-CNN',
    'cascade_mask_rcnn': 'Cascade Mask R-CNN',
    'deformable_detr': 'Deformable DETR',
    'upernet': 'UPerNet',
}
PAPER = dict(
    Title='CEDNet: A Cascade Encoder-Decoder Network for Dense Prediction',
    URL='https://arxiv.org/abs/2302.06052',
)
HEADER = """# Results

Every row of the paper's tables. Columns of the paper's figures say so; what columns "ours" have is of
trainings with these configs, and empty where there was none. Params and multiply-adds are counted from
the configs (COCO 1280x800, ADE20K 2048x512). Written by `python tools/analysis/results.py`, which takes
the APs and mIoUs from the logs in `work_dirs/`; multi-scale ones are of `tools/test.py --tta` without
`--show-dir`.
"""


def trained(work_dirs: Path, config: Path, name: str) -> dict[str, float]:
    """What a finished training of a config reached, in %, by the tables' names of the metrics.

    Args:
        work_dirs: Where ``tools/train.py`` puts logs and checkpoints.
        config: File of the config.
        name: Its path below configs/.

    Returns:
        Nothing where there is no training, or none that came to its end.
    """
    folder = work_dirs / Path(name).with_suffix('')
    logs = sorted(folder.glob('*/vis_data/scalars.json'), key=lambda log: log.stat().st_mtime)
    if not logs:
        return {}
    loop = Config.fromfile(config).train_cfg
    end = loop.get('max_epochs') or loop.max_iters
    found: dict[str, float] = {}
    for log in logs:
        for line in log.read_text(encoding='utf-8').splitlines():
            entry = json.loads(line)
            if entry.get('step') == end:
                for metric, key in METRICS.items():
                    if key in entry:
                        found[metric] = per_cent(key, entry[key])
    return found | multi_scale(folder, end)


def multi_scale(folder: Path, end: int) -> dict[str, float]:
    """What ``tools/test.py --tta`` found for the last checkpoint of a training in a folder."""
    found = {}
    for log in sorted(folder.glob('*/*.json'), key=lambda log: log.stat().st_mtime):
        config = log.parent / 'vis_data' / 'config.py'
        if not config.is_file():  # with --show-dir, it is among the pictures
            continue
        cfg = Config.fromfile(config, import_custom_modules=False)
        if cfg.model.type == 'SegTTAModel' and Path(cfg.load_from).name == f'iter_{end}.pth':
            found['miou_ms'] = json.loads(log.read_text(encoding='utf-8'))['mIoU']
    return found


class Result(NamedTuple):
    """A row and what was trained for it."""

    row: Row
    paper: dict  # the row as it is printed
    ours: dict[str, float]


def markdown(found: list[Result]) -> str:
    """The text of docs/results.md."""
    parts = [HEADER]
    for table in dict.fromkeys(result.row.table for result in found):
        members = [result for result in found if result.row.table == table]
        parts.append(f'## Table {table}: {FRAMEWORKS[members[0].row.framework]}\n')
        parts.append(table_of(members))
    notes = [f'- {misprint}.' for misprint in misprints()]
    notes += [
        f'- Table {table}, {method}: {entry.why}.'
        for (table, method), entry in KNOWN_DEVIATIONS.items()
    ]
    parts.append('## Notes\n')
    parts.append('\n'.join(notes) + '\n')
    return '\n'.join(parts)


def table_of(members: list[Result]) -> str:
    metrics = [name for name in TITLES if any(name in result.paper for result in members)]
    header = ['method', 'Params (M)', 'paper', 'GMAC', 'paper']
    for metric in metrics:
        header += [f'{TITLES[metric]}, paper', 'ours']
    lines = [header, ['---'] * len(header)]
    for row, paper, ours in members:
        linked = f'[{row.method}](../configs/{row.config})'
        method = linked if row.config else f'{row.method}, no config yet'
        cells = [method, number(row.params, 2), number(row.paper_params)]
        cells += [number(row.macs, 1), number(row.paper_macs)]
        for metric in metrics:
            cells += [number(paper.get(metric), 1), number(ours.get(metric), 1)]
        lines.append(cells)
    return ''.join(f'| {" | ".join(cells)} |\n' for cells in lines)


def number(value: float | None, digits: int | None = None) -> str:
    if value is None:
        return ''
    return f'{value:g}' if digits is None else f'{value:.{digits}f}'


TASKS = {
    'ap': ('Object Detection', 'COCO'),
    'mask_ap': ('Instance Segmentation', 'COCO'),
    'miou_ss': ('Semantic Segmentation', 'ADE20K'),
    'miou_ms': ('Semantic Segmentation', 'ADE20K'),
}


def metafile(framework: str, found: list[Result]) -> dict:
    """What is in the metafile.yml of a framework's folder of configs."""
    collection = f'mmcednet, {FRAMEWORKS[framework]}'
    models = {}  # a config may be in several tables
    for row, _, ours in found:
        if row.config and row.framework == framework:
            results: dict[str, dict] = {}
            for metric, (task, dataset) in TASKS.items():
                if metric in ours:
                    result = results.setdefault(task, dict(Task=task, Dataset=dataset, Metrics={}))
                    result['Metrics'][TITLES[metric]] = round(ours[metric], 1)
            models[row.config] = {
                'Name': row.config.removesuffix('.py').replace('/', '_'),
                'In Collection': collection,
                'Config': f'configs/{row.config}',
                'Metadata': {'Parameters': round(row.params * 1e6), 'FLOPs': round(row.macs * 1e9)},
            } | (dict(Results=list(results.values())) if results else {})
    readme = dict(Name=collection, Paper=PAPER, README='docs/results.md')
    return dict(Collections=[readme], Models=list(models.values()))


def files(rows: Iterable[Row], configs: Path, work_dirs: Path) -> dict[str, str]:
    """Path below the project -> text, of docs/results.md, the metafiles and model-index.yml.

    Args:
        rows: All rows of all tables.
        configs: The folder of configs.
        work_dirs: Where ``tools/train.py`` puts logs and checkpoints.
    """
    found = [
        Result(row, paper, trained(work_dirs, configs / row.config, row.config) if row.config else {})
        for row, paper in zip(rows, paper_rows(), strict=True)
    ]
    texts = {'docs/results.md': markdown(found)}
    for framework in dict.fromkeys(row.framework for row, _, _ in found if row.config):
        content = metafile(framework, found)
        texts[f'configs/{framework}/metafile.yml'] = yaml.safe_dump(content, sort_keys=False, width=100)
    index = dict(Import=sorted(path for path in texts if path.endswith('metafile.yml')))
    texts['model-index.yml'] = yaml.safe_dump(index)
    return texts
