"""The files of a report: pictures and tables."""

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mmcv
from rich.console import Console
from rich.table import Table

from mmcednet.visualization.charts import draw_confusion, draw_precision_recall, write_csv
from mmcednet.visualization.drawing import get_classes
from mmcednet.visualization.grids import fit, join_panels, write_grid

from .evaluation import Evaluation, Record, Task

MAX_IMAGES = 12  # of a grid
COLUMNS = 3
MAX_ROWS = 30  # of a printed table


def write_evaluation(
    evaluation: Evaluation, task: Task, metainfo: Mapping[str, Any], out: Path
) -> None:
    """Write what an evaluation found: tables of classes and images, confusion, curves, worst images.

    Args:
        evaluation: What was found.
        task: The kind of model.
        metainfo: The dataset's.
        out: Folder; its files are replaced.
    """
    table, labels = evaluation.table, evaluation.labels
    write_csv([dict(zip(table, row)) for row in zip(*table.values())], out / 'classes.csv')
    rows = zip(labels, evaluation.confusion.tolist())
    confusion = [{'true': label} | dict(zip(labels, row)) for label, row in rows]
    write_csv(confusion, out / 'confusion_matrix.csv')
    draw_confusion(evaluation.confusion, labels, evaluation.note, out / 'confusion_matrix.png')
    if evaluation.curves:
        points = [
            {'class': name, 'recall': float(recall), 'precision': float(precision)}
            for name, curve in evaluation.curves.items()
            for recall, precision in zip(*curve)
        ]
        write_csv(points, out / 'precision_recall.csv')
        draw_precision_recall(evaluation.curves, out / 'precision_recall.png')
    images = [
        {key: record[key] for key in ('img_path', 'score', 'note')} for record in evaluation.worst
    ]
    write_csv(images, out / 'images.csv')
    draw_records(evaluation.worst[:MAX_IMAGES], task, metainfo, out / 'worst_images.png')


def draw_records(records: Sequence[Record], task: Task, metainfo: Mapping[str, Any], out: Path) -> None:
    """Draw truth and prediction of images in a grid; images without a truth have no note."""
    cells = []
    for record in records:
        image = fit(mmcv.imread(record['img_path'], channel_order='rgb'))
        panels = task.draw(record, image, metainfo)
        note = f'{Path(record["img_path"]).name}: {record["note"]}' if 'note' in record else ''
        cells.append(join_panels(panels, note))
    if cells:
        write_grid(cells, out, COLUMNS, get_classes(metainfo) if 'palette' in metainfo else None)


def format_table(table: Mapping[str, Sequence[Any]]) -> str:
    """Format a table of classes as text; of many, the worst by the first share after the counts."""
    columns = list(table)
    rows = list(zip(*table.values()))
    title = ''
    if len(rows) > MAX_ROWS:
        rows.sort(key=lambda row: math.inf if math.isnan(row[2]) else row[2])
        title = f'the {MAX_ROWS} worst of {len(rows)} classes; all are in classes.csv'
    shown = Table(title=title)
    for column in columns:
        shown.add_column(column, justify='left' if column == 'class' else 'right')
    for row in rows[:MAX_ROWS]:
        shown.add_row(*map(format_value, row))
    text = io.StringIO()
    Console(file=text, width=120).print(shown)
    return text.getvalue().rstrip()


def format_value(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return '-' if math.isnan(value) else f'{value:.3f}'
