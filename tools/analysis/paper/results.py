"""Generates docs/results.md and the files that ``mim`` reads, from the paper's rows and the logs."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import yaml
from mmengine.config import Config

from mmcednet.metrics import to_percent
from mmcednet.visualization.charts import read_log

from .fusion_times import FusionTimes
from .tables import FRAMEWORKS, KNOWN_DEVIATIONS, Row, load_misprints, load_paper_rows

# Name of a metric in the tables -> in the logs
METRICS = {'ap': 'coco/bbox_mAP', 'mask_ap': 'coco/segm_mAP', 'miou_ss': 'mIoU'}
TITLES = {'ap': 'box AP', 'mask_ap': 'mask AP', 'miou_ss': 'mIoU', 'miou_ms': 'mIoU, multi-scale'}
PAPER = dict(
    Title='CEDNet: A Cascade Encoder-Decoder Network for Dense Prediction',
    URL='https://arxiv.org/abs/2302.06052',
)
HEADER = """# Results

All rows of the paper's tables. Columns "paper" have the values in the paper; columns "ours" have the
results of training with these configs, and are empty where no training has finished. Params and
multiply-adds are counted from the configs (COCO 1280x800, ADE20K 2048x512). "Fusion" is the time for
feature fusion: the share of the parameters of backbone and neck that are used before features of two
levels are combined for the first time; 100 % where only the head combines them. This page is generated
by `python tools/analysis/results.py`, which reads APs and mIoUs from the logs in `work_dirs/`;
multi-scale mIoUs come from `tools/test.py --tta` without `--show-dir`.

Figure 1 of the paper, with every network of its tables as a point:

![AP or mIoU against time for feature fusion](images/fusion_times.png)
"""


def read_metrics(work_dirs: Path, config: Path, name: str) -> dict[str, float]:
    """Read the final metrics of a finished training.

    Args:
        work_dirs: Folder in which ``tools/train.py`` writes logs and checkpoints.
        config: Config file.
        name: Its path below configs/.

    Returns:
        Metrics in %, by their names in the tables; empty if no training of the config has finished.
    """
    folder = work_dirs / Path(name).with_suffix('')
    logs = sorted(folder.glob('*/vis_data/scalars.json'), key=lambda log: log.stat().st_mtime)
    if not logs:
        return {}
    loop = Config.fromfile(config).train_cfg
    end = loop.get('max_epochs') or loop.max_iters
    found: dict[str, float] = {}
    for log in logs:
        for entry in read_log(log):
            if entry.get('step') == end:
                for metric, key in METRICS.items():
                    if key in entry:
                        found[metric] = to_percent(key, entry[key])
    return found | read_multi_scale_metrics(folder, end)


def read_multi_scale_metrics(folder: Path, end: int) -> dict[str, float]:
    """Read the metrics of ``tools/test.py --tta`` on the last checkpoint in a work dir."""
    found = {}
    for log in sorted(folder.glob('*/*.json'), key=lambda log: log.stat().st_mtime):
        config = log.parent / 'vis_data' / 'config.py'
        if not config.is_file():  # with --show-dir, the config is among the pictures
            continue
        cfg = Config.fromfile(config, import_custom_modules=False)
        if cfg.model.type == 'SegTTAModel' and Path(cfg.load_from).name == f'iter_{end}.pth':
            found['miou_ms'] = json.loads(log.read_text(encoding='utf-8'))['mIoU']
    return found


class Result(NamedTuple):
    """A row of the paper with the metrics of our training."""

    row: Row
    paper: dict  # the row in the paper
    ours: dict[str, float]  # in %
    fusion: float  # share of the parameters before the first fusion


def render_page(found: list[Result]) -> str:
    """Render docs/results.md."""
    parts = [HEADER]
    for table in dict.fromkeys(result.row.table for result in found):
        members = [result for result in found if result.row.table == table]
        parts.append(f'## Table {table}: {FRAMEWORKS[members[0].row.framework]}\n')
        parts.append(render_table(members))
    notes = [f'- {misprint}.' for misprint in load_misprints()]
    notes += [
        f'- Table {table}, {method}: {entry.why}.'
        for (table, method), entry in KNOWN_DEVIATIONS.items()
    ]
    parts.append('## Notes\n')
    parts.append('\n'.join(notes) + '\n')
    return '\n'.join(parts)


def render_table(members: list[Result]) -> str:
    metrics = [name for name in TITLES if any(name in result.paper for result in members)]
    header = ['method', 'Params (M)', 'paper', 'GMAC', 'paper', 'fusion']
    for metric in metrics:
        header += [f'{TITLES[metric]}, paper', 'ours']
    lines = [header, ['---'] * len(header)]
    for row, paper, ours, fusion in members:
        method = f'[{row.method}](../configs/{row.config})'
        cells = [method, format_number(row.params, 2), format_number(row.paper_params)]
        cells += [format_number(row.macs, 1), format_number(row.paper_macs)]
        cells.append(f'{fusion:.1%}')
        for metric in metrics:
            cells += [format_number(paper.get(metric), 1), format_number(ours.get(metric), 1)]
        lines.append(cells)
    return ''.join(f'| {" | ".join(cells)} |\n' for cells in lines)


def format_number(value: float | None, digits: int | None = None) -> str:
    """Format with a fixed number of decimals, or as short as possible; None becomes empty."""
    if value is None:
        return ''
    return f'{value:g}' if digits is None else f'{value:.{digits}f}'


TASKS = {
    'ap': ('Object Detection', 'COCO'),
    'mask_ap': ('Instance Segmentation', 'COCO'),
    'miou_ss': ('Semantic Segmentation', 'ADE20K'),
    'miou_ms': ('Semantic Segmentation', 'ADE20K'),
}


def make_metafile(framework: str, found: list[Result]) -> dict:
    """Make the content of the metafile.yml in a framework's folder of configs."""
    collection = f'mmcednet, {FRAMEWORKS[framework]}'
    models: dict[str, dict] = {}  # a config may be in several tables
    for row, _, ours, _ in found:
        if row.framework == framework:
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


def render_files(
    rows: Iterable[Row], times: FusionTimes, configs: Path, work_dirs: Path
) -> dict[str, str]:
    """Render docs/results.md, the metafiles and model-index.yml.

    Args:
        rows: All rows of all tables.
        times: Fusion times of their configs.
        configs: Folder of the configs.
        work_dirs: Folder in which ``tools/train.py`` writes logs and checkpoints.

    Returns:
        Texts by their paths below the project.
    """
    found = [
        Result(
            row,
            paper,
            read_metrics(work_dirs, configs / row.config, row.config),
            times[row.config].share,
        )
        for row, paper in zip(rows, load_paper_rows(), strict=True)
    ]
    texts = {'docs/results.md': render_page(found)}
    for framework in dict.fromkeys(row.framework for row, *_ in found):
        content = make_metafile(framework, found)
        texts[f'configs/{framework}/metafile.yml'] = yaml.safe_dump(content, sort_keys=False, width=100)
    index = dict(Import=sorted(path for path in texts if path.endswith('metafile.yml')))
    texts['model-index.yml'] = yaml.safe_dump(index)
    return texts
