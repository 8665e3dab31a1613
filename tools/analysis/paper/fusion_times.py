"""Figure 1 of the paper, with every network of its tables: time for feature fusion, and AP or mIoU."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmcednet.analysis.fusion_time import FusionTime, measure_config_fusion_time

from .tables import FRAMEWORKS, Row


class Box(NamedTuple):
    """A rectangle of a panel, in its units."""

    left: float
    right: float
    bottom: float
    top: float

    def overlaps(self, other: 'Box') -> bool:
        beside = self.right <= other.left or other.right <= self.left
        return not (beside or self.top <= other.bottom or other.top <= self.bottom)


FusionTimes = dict[str, FusionTime]  # by config, below configs/

FONT_SIZE = 7
LETTER = 1.25  # width of a letter, in % of the parameters
LINES = 24  # lines of text in a panel
MIDDLE = 60  # points to the right of it have their names to their left
SHORT = ('4', '6')  # tables with trainings of 12 epochs, whose APs compare only with each other
COLUMNS = 2


def iter_fusion_times(configs: Path, rows: Iterable[Row]) -> Iterator[tuple[str, FusionTime]]:
    """Measure each config of ``rows`` once: its path below ``configs``, and its fusion time."""
    for config in dict.fromkeys(row.config for row in rows):
        yield config, measure_config_fusion_time(str(configs / config))


def group_panels(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows by panel: a framework, or the short trainings of RetinaNet; each network once."""
    panels: dict[str, dict[tuple[str, float | None], Row]] = {}
    for row in rows:
        title = FRAMEWORKS[row.framework] + (', 12 epochs' if row.table in SHORT else '')
        panels.setdefault(title, {}).setdefault((row.config, row.paper_ap), row)
    return {title: list(members.values()) for title, members in panels.items()}


def draw_fusion_times(rows: Iterable[Row], times: FusionTimes) -> Figure:
    """Draw a point for each network: its fusion time, and its AP or mIoU in the paper.

    Args:
        rows: Rows of the tables.
        times: Fusion times of the configs in ``rows``.
    """
    panels = group_panels(rows)
    lines = -(-len(panels) // COLUMNS)
    figure = Figure(figsize=(6.5 * COLUMNS, 4.6 * lines))
    axes = figure.subplots(lines, COLUMNS, squeeze=False)
    for panel, (title, members) in zip(axes.flat, panels.items()):
        draw_panel(panel, members, times)
        metric = 'mIoU' if members[0].framework == 'upernet' else 'box AP'
        panel.set(title=title, xlim=(-3, 104), ylabel=f'{metric} in the paper, %')
        panel.set_xlabel('time for feature fusion, % of the parameters')
        panel.margins(y=0.12)
    for panel in axes.flat[len(panels) :]:
        panel.axis('off')
    figure.tight_layout()
    return figure


def draw_panel(panel: Axes, rows: list[Row], times: FusionTimes) -> None:
    """Draw the points and their names; CEDNet's points are blue and filled."""
    points = [(100 * times[row.config].share, row.paper_ap or 0.0) for row in rows]
    heights = [y for _, y in points]
    line = (max(heights) - min(heights)) / LINES
    networks = {row.method.split()[0] for row in rows}
    prefix = f'{rows[0].method.split()[0]} ' if len(networks) == 1 else ''
    taken = [Box(x - 2, x + 2, y - 0.3 * line, y + 0.3 * line) for x, y in points]
    for row, (x, y) in sorted(zip(rows, points), key=lambda pair: -pair[1][1]):
        ours = row.method.startswith('CEDNet')
        color = 'tab:blue' if ours else 'dimgray'
        panel.plot(x, y, 'o', color=color, fillstyle='full' if ours else 'none', markersize=5)
        name = row.method.removeprefix(prefix)
        left = x > MIDDLE  # of the point
        width = LETTER * len(name) + 1
        start = x - 3 - width if left else x + 3
        shifts = (sign * step * line for step in range(LINES) for sign in (1, -1))
        boxes = (Box(start, start + width, y + d - line / 2, y + d + line / 2) for d in shifts)
        box = next(box for box in boxes if not any(box.overlaps(other) for other in taken))
        taken.append(box)
        panel.annotate(
            name,
            (x, y),
            (x - 3 if left else x + 3, (box.bottom + box.top) / 2),
            ha='right' if left else 'left',
            va='center',
            color=color,
            fontsize=FONT_SIZE,
            arrowprops=dict(arrowstyle='-', color=color, linewidth=0.4, shrinkA=0, shrinkB=2),
        )
