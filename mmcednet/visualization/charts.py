"""Charts of a training and an evaluation: curves, and the confusion of classes."""

import csv
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mmcednet.config_files import get_type
from mmcednet.files import atomic_write
from mmcednet.metrics import list_shown_metrics

MAX_NUMBERS = 30  # classes of which a confusion matrix has the numbers
MAX_NAMES = 60  # and the names
MAX_CURVES = 10


def read_log(log: Path) -> list[dict[str, Any]]:
    """Read the entries of a run's scalars.json, but for one that a full disk or a kill cut off."""
    entries = []
    for line in log.read_text().splitlines():
        with suppress(json.JSONDecodeError):
            entries.append(json.loads(line))
    return entries


def draw_curves(log: Path, cfg: Any, out: Path) -> None:
    """Draw the training loss and the validation metrics of a run.

    Args:
        log: The run's scalars.json.
        cfg: The run's config.
        out: Image file to write.
    """
    entries = read_log(log)
    losses = [(entry['iter'], entry['loss']) for entry in entries if 'loss' in entry]
    figure = Figure(figsize=(10, 4), layout='constrained')
    left, right = figure.subplots(1, 2)
    left.plot(*zip(*losses))
    left.set(xlabel='iteration', ylabel='training loss', ylim=(0, None))
    curves: dict[str, list[tuple[int, float]]] = {}
    for entry in entries:
        if 'loss' not in entry:
            metrics = {key: value for key, value in entry.items() if key != 'step'}
            for title, value in list_shown_metrics(cfg, metrics).values():
                curves.setdefault(title, []).append((entry['step'], value))
    for title, values in curves.items():
        right.plot(*zip(*values), marker='o', label=title)
    are_shares = all(0 <= value <= 1 for values in curves.values() for _, value in values)
    right.set(xlabel=find_unit(cfg), ylabel='validation', ylim=(0, 1) if are_shares else None)
    right.xaxis.get_major_locator().set_params(integer=True)
    if curves:
        right.legend()
    save(figure, out)


def find_unit(cfg: Any) -> str:
    """In what a training counts its validations: 'epoch' or 'iteration'."""
    loop = cfg.get('train_cfg') or {}
    return 'epoch' if loop.get('by_epoch', 'Iter' not in get_type(loop)) else 'iteration'


def write_csv(rows: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Write rows as a CSV file with a column for each key, empty where a row lacks it."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with atomic_write(out) as temporary, temporary.open('w', newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def draw_precision_recall(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], out: Path) -> None:
    """Draw the precision over the recall: each class, or the ten with the smallest area of many."""
    figure = Figure(figsize=(7, 5), layout='constrained')
    axes = figure.subplots()
    areas = {name: np.diff(curve[0]) @ curve[1][1:] for name, curve in curves.items()}
    drawn = sorted(curves, key=lambda name: areas[name])[:MAX_CURVES]
    for name in curves:
        if name in drawn:
            axes.plot(*curves[name], label=name)
    title = f'the {MAX_CURVES} worst of {len(curves)} classes' if len(curves) > len(drawn) else ''
    axes.set(xlabel='recall', ylabel='precision', xlim=(0, 1), ylim=(0, 1.02), title=title)
    axes.legend(loc='center left', bbox_to_anchor=(1, 0.5))
    save(figure, out)


def draw_confusion(confusion: np.ndarray, labels: Sequence[str], title: str, out: Path) -> None:
    """Draw a confusion matrix (true, predicted): shares of each row, and the numbers of few classes."""
    number = len(labels)
    side = min(24.0, 3.5 + 0.7 * number)
    figure = Figure(figsize=(side + 1, side), layout='constrained')
    axes = figure.subplots()
    rows = confusion.sum(1, keepdims=True)
    shares = confusion / np.maximum(rows, 1)
    image = axes.imshow(shares, cmap='Blues', vmin=0, vmax=1)
    figure.colorbar(image, label='share of the true class', shrink=0.8)
    axes.set(xlabel='predicted', ylabel='true')
    axes.set_title(title, fontsize=9)
    if number <= MAX_NAMES:
        axes.set_xticks(range(number), labels, rotation=45, ha='right', rotation_mode='anchor')
        axes.set_yticks(range(number), labels)
    if number <= MAX_NUMBERS:
        for row, column in zip(*np.nonzero(confusion)):
            share, count = shares[row, column], confusion[row, column]
            text = f'{100 * share:.0f} %' + (f'\n{count}' if count < 10**6 else '')
            colour = 'white' if share > 0.5 else 'black'
            axes.text(column, row, text, ha='center', va='center', fontsize=8, color=colour)
    save(figure, out)


def save(figure: Figure, out: Path) -> None:
    """Write a figure, its curves with a grid."""
    for axes in figure.axes[:2]:
        if axes.lines:
            axes.grid(alpha=0.3)
    with atomic_write(out) as temporary:
        figure.savefig(temporary, dpi=120)
