"""Boxes, sums and arrows on the axes of a figure, and where a stride has its row."""

from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyBboxPatch

# Sizes in inches, on an axis whose unit is an inch and whose y grows downwards
ROW = 0.72  # distance of two strides
TOP = 0.5  # y of stride 4
BOX_WIDTH, BOX_HEIGHT = 0.78, 0.4
RADIUS = 0.11  # of a sum
FONT_SIZE = 9.5

COLORS = {  # face and edge
    'block': ('#d6e6f8', '#2566a8'),
    'long range': ('#fde2c4', '#c2600c'),
    'pyramid': ('#d8f0dc', '#2c7a45'),
    'other': ('#eeeeee', '#666666'),
}
DARK, PALE, PANEL = '#222222', '#666666', '#f5f6f8'
DOWN, UP, SAME = '#2566a8', '#8b2f8f', '#444444'  # arrows: to a coarser level, to a finer one, neither


class Node(NamedTuple):
    """Something in the figure that arrows start and end at."""

    x: float
    y: float
    half_width: float
    half_height: float

    @property
    def left(self) -> tuple[float, float]:
        return self.x - self.half_width, self.y

    @property
    def right(self) -> tuple[float, float]:
        return self.x + self.half_width, self.y

    @property
    def top(self) -> tuple[float, float]:
        return self.x, self.y - self.half_height

    @property
    def bottom(self) -> tuple[float, float]:
        return self.x, self.y + self.half_height


def get_y(stride: int) -> float:
    return TOP + ROW * (stride.bit_length() - 3)


class Drawing:
    """Boxes, sums and arrows on the axes of a figure."""

    def __init__(self, axes: Axes) -> None:
        self.axes = axes

    def write(self, x: float, y: float, text: str, name: str = '', **style: Any) -> None:
        usual: dict[str, Any] = dict(ha='center', va='center', fontsize=FONT_SIZE, color=DARK, zorder=5)
        self.axes.text(x, y, text, gid=name or None, **usual | style)

    def draw_box(
        self,
        x: float,
        y: float,
        text: str,
        name: str,
        kind: str,
        width: float = BOX_WIDTH,
        height: float = BOX_HEIGHT,
    ) -> Node:
        face, edge = COLORS[kind]
        corner = (x - width / 2, y - height / 2)
        style = 'round,pad=0,rounding_size=0.06'
        self.axes.add_patch(
            FancyBboxPatch(corner, width, height, style, facecolor=face, edgecolor=edge, zorder=4)
        )
        self.write(x, y, text, name, rotation=90 if height > width else 0)
        return Node(x, y, width / 2, height / 2)

    def draw_blocks(self, x: float, y: float, number: int, name: str, kind: str = 'block') -> Node:
        """Draw a box with the number of blocks, or a point where there are none."""
        if number:
            return self.draw_box(x, y, f'{number} block{"s" * (number > 1)}', name, kind)
        self.axes.add_patch(Circle((x, y), 0.03, color=SAME, zorder=4))
        return Node(x, y, 0, 0)

    def draw_sum(self, x: float, y: float) -> Node:
        self.axes.add_patch(Circle((x, y), RADIUS, facecolor='white', edgecolor=DARK, zorder=4))
        for dx, dy in ((0.06, 0), (0, 0.06)):
            self.axes.plot([x - dx, x + dx], [y - dy, y + dy], color=DARK, linewidth=1.3, zorder=5)
        return Node(x, y, RADIUS, RADIUS)

    def connect(self, *points: tuple[float, float], color: str = SAME) -> None:
        """Draw an arrow along points."""
        if len(points) > 2:
            self.axes.plot(*zip(*points[:-1]), color=color, linewidth=1.4, zorder=3)
        arrow = dict(
            arrowstyle='-|>', color=color, linewidth=1.4, shrinkA=0, shrinkB=0, mutation_scale=9
        )
        self.axes.annotate('', points[-1], points[-2], arrowprops=arrow, zorder=3)

    def draw_panel(self, left: float, right: float, top: float, bottom: float, title: str) -> None:
        style = 'round,pad=0,rounding_size=0.1'
        size = (right - left, bottom - top)
        self.axes.add_patch(
            FancyBboxPatch((left, top), *size, style, facecolor=PANEL, edgecolor='none', zorder=1)
        )
        self.write((left + right) / 2, bottom - 0.13, title, color=PALE)
