"""The comparison as a table and a figure."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mmcednet.files import atomic_write

from .results import TUNING_SEED, Results
from .specs import NETWORKS, REFERENCE
from .training import METRICS, NONE, Run

TITLES = {'retinanet': 'box AP', 'mask_rcnn': 'mask AP', 'upernet': 'mIoU'}
SIZES = {'small': '_s', 'medium': '_m', 'large': '_l'}
HEADER = ('network', 'params (M)', 'GMAC', 'rate', 'decay', 'seeds', '{}', 'difference', 'ahead')


def format_mean(values: list[float], form: str = '{:.1f}') -> str:
    """Mean and standard error; empty if they are not numbers."""
    if np.isnan(values).any():
        return ''
    mean = form.format(np.mean(values))
    return f'{mean} ± {compute_deviation(values) / len(values) ** 0.5:.1f}' if len(values) > 1 else mean


MANY = 5  # groups; more are not drawn as curves
# network, initial weights, learning rate, weight decay -> runs
Groups = dict[tuple[str, str, float, float], list[dict[str, Any]]]


def group_runs(results: Results, run: Run, pretrained: bool = False) -> Groups:
    """The runs that are compared, by seed.

    Args:
        results: Finished runs.
        run: One of them, whose data, framework, iterations, scale and device the others have.
        pretrained: All runs of the networks that were started from pre-trained weights, too. Default:
            False, all runs from random weights.

    Returns:
        The runs; networks in the order of ``NETWORKS``, weights and recipes of a network in the order
        of their runs.
    """
    models = list(NETWORKS)
    common = ('data', 'framework', 'iters', 'scale', 'device')
    rows = list(results.select(**{key: getattr(run, key) for key in common}))
    compared = {row['model'] for row in rows if row['weights'] != NONE}
    groups: Groups = {}
    for row in rows:
        wanted = row['model'] in compared if pretrained else row['weights'] == NONE
        if wanted and row['seed'] != TUNING_SEED:
            key = (row['model'], row['weights'], row['lr'], row['weight_decay'])
            groups.setdefault(key, []).append(row)
    return {
        key: sorted(groups[key], key=lambda row: row['seed'])
        for key in sorted(groups, key=lambda key: models.index(key[0]))
    }


def get_scores(rows: list[dict[str, Any]], metric: str) -> dict[int, float]:
    """Seed -> metric on the test images, 0 where nothing was found, NaN where there are no objects."""
    scores = {row['seed']: row['test'].get(metric, 0.0) for row in rows}
    return {seed: score if score >= 0 else math.nan for seed, score in scores.items()}


def get_validation_score(group: tuple[Any, list[dict[str, Any]]]) -> float:
    """Mean of the runs of an item of ``Groups`` on the validation images, at the end of training."""
    return float(np.mean([row['curve'][-1][1] for row in group[1]]))


def make_table(groups: Groups, framework: str, reference_model: str = REFERENCE) -> str:
    """Make a Markdown table: mean and standard error on the test images.

    Differences are those of the runs with the same seed, to the reference with the same weights; of its
    recipes, to the one that is the best on the validation images.
    """
    metric, sizes = METRICS[framework], SIZES if framework != 'upernet' else {}
    pretrained = any(weights != NONE for _, weights, _, _ in groups)
    header = [*HEADER, *sizes]
    if pretrained:
        header.insert(1, 'weights')
    lines = ['| ' + ' | '.join(header).format(TITLES[framework]) + ' |', '| --- ' * len(header) + '|']
    references = {  # the last one of the same weights stays
        weights: get_scores(rows, metric)
        for (model, weights, _, _), rows in sorted(groups.items(), key=get_validation_score)
        if model == reference_model
    }
    for (model, weights, lr, weight_decay), rows in groups.items():
        scores, reference = get_scores(rows, metric), references.get(weights, {})
        differences = [scores[seed] - reference[seed] for seed in scores if seed in reference]
        compared = differences and model != reference_model
        difference = format_mean(differences, '{:+.1f}') if compared else ''
        ahead = f'{sum(value > 0 for value in differences)} of {len(differences)}' if compared else ''
        cells = [
            NETWORKS[model].get_title(framework),
            *([weights] if pretrained else []),
            f'{rows[0]["params"]:.3f}',
            f'{rows[0]["macs"]:.3f}',
            f'{lr:g}',
            f'{weight_decay:g}',
            str(len(rows)),
            format_mean(list(scores.values())),
            difference,
            ahead,
            *(format_mean(list(get_scores(rows, metric + key).values())) for key in sizes.values()),
        ]
        lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines) + '\n'


def draw_figure(groups: Groups, framework: str, title: str, out: Path) -> None:
    """Draw the metric on the validation images during the training, and by size on the test images.

    Many networks are drawn by their metric on the test images instead, with a point for each run.
    Bands and error bars are standard deviations over the seeds.
    """
    figure = draw_scores(groups, framework) if len(groups) > MANY else draw_curves(groups, framework)
    figure.axes[0].set_title(title)
    figure.tight_layout()
    with atomic_write(out) as temporary:
        figure.savefig(temporary, dpi=110)


def get_labels(groups: Groups, framework: str) -> list[str]:
    """Titles of the networks, with weights if any are pre-trained, and the rate of one of several."""
    pretrained = any(weights != NONE for _, weights, _, _ in groups)
    starts = [key[:2] for key in groups]
    return [
        NETWORKS[model].get_title(framework)
        + (f', {weights}' if pretrained else '')
        + (f', rate {lr:g}' if starts.count((model, weights)) > 1 else '')
        for model, weights, lr, _ in groups
    ]


def draw_curves(groups: Groups, framework: str) -> Figure:
    metric = METRICS[framework]
    columns = 1 if framework == 'upernet' else 2
    figure = Figure(figsize=(5.5 * columns, 4))
    axes = figure.subplots(1, columns, squeeze=False)
    curve_axes = axes[0, 0]
    for index, (label, rows) in enumerate(zip(get_labels(groups, framework), groups.values())):
        iterations = [point[0] for point in rows[0]['curve']]
        columns_of_scores = list(zip(*([point[1] for point in row['curve']] for row in rows)))
        centre, width = get_mean_and_width(columns_of_scores)
        lower, upper = zip(*((c - w, c + w) for c, w in zip(centre, width)))
        (line,) = curve_axes.plot(iterations, centre, label=label)
        curve_axes.fill_between(iterations, lower, upper, alpha=0.2, color=line.get_color())
        if framework != 'upernet':
            scores = [list(get_scores(rows, metric + key).values()) for key in SIZES.values()]
            heights, errors = get_mean_and_width(scores)
            positions = [i + 0.8 * (index + 0.5) / len(groups) - 0.4 for i in range(len(SIZES))]
            axes[0, 1].bar(positions, heights, 0.8 / len(groups), yerr=errors, color=line.get_color())
    curve_axes.set(xlabel='iteration', ylabel=f'{TITLES[framework]}, validation images')
    curve_axes.legend()
    if framework != 'upernet':
        axes[0, 1].set_xticks(range(len(SIZES)), list(SIZES))
        axes[0, 1].set(ylabel=f'{TITLES[framework]}, test images', title='by size of the objects')
    return figure


def draw_scores(groups: Groups, framework: str) -> Figure:
    figure = Figure(figsize=(7, 1 + 0.28 * len(groups)))
    axes = figure.subplots()
    scores = [list(get_scores(rows, METRICS[framework]).values()) for rows in groups.values()]
    centres, widths = get_mean_and_width(scores)
    positions = range(len(groups))
    axes.errorbar(centres, positions, xerr=widths, fmt='o', capsize=3)
    for position, values in zip(positions, scores):
        axes.plot(values, [position] * len(values), '.', color='gray', markersize=4)
    axes.set_yticks(positions, get_labels(groups, framework))
    axes.invert_yaxis()  # in the order of the table
    axes.set_xlabel(f'{TITLES[framework]}, test images')
    axes.grid(axis='x', alpha=0.4)
    return figure


def compute_deviation(values: list[float]) -> float:
    """Standard deviation; 0 for a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def get_mean_and_width(groups: list) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each group of values."""
    return [float(np.mean(values)) for values in groups], [compute_deviation(v) for v in groups]


def write_report(
    results: Results,
    run: Run,
    out: Path,
    reference: str = REFERENCE,
    pretrained: bool = False,
) -> None:
    """Print the table, and write it and the figure into a folder; see :func:`group_runs`."""
    groups = group_runs(results, run, pretrained)
    table = make_table(groups, run.framework, reference)
    print(table)
    name = f'{run.data}-{run.framework}-{run.iters}' + ('-pretrained' if pretrained else '')
    with atomic_write(out / f'{name}.md') as temporary:
        temporary.write_text(table)
    draw_figure(groups, run.framework, f'{run.data}, {run.framework}', out / f'{name}.png')
    print(f'table and figure: {out / name}.md and .png')
