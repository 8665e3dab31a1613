#!/usr/bin/env python3
"""Draws docs/images/network.png: stages, blocks and channels of a CEDNet, read from the built model."""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mmcednet_threads import limit_threads

if __name__ == '__main__':
    limit_threads()  # before torch is imported

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch
from torch import nn

from mmcednet.command_line import exit_on_error
from mmcednet.files import atomic_write
from mmcednet.models import CEDNet
from mmcednet.models.pyramid import Pyramid

ROOT = Path(__file__).resolve().parents[2]
LEVELS = (3, 4, 5, 6, 7)  # the pyramid of RetinaNet
KEY = 'Description'  # of the PNG file: the layout that is drawn, as JSON

# Sizes in inches, on an axis whose unit is an inch and whose y grows downwards
ROW = 0.72  # distance of two strides
TOP = 0.5  # y of stride 4
LABELS = 1.15  # width of the column with strides and channels
BOX_WIDTH, BOX_HEIGHT = 0.78, 0.4
SMALL_WIDTH = 0.54  # boxes of the image and the pyramid
RADIUS = 0.11  # of a sum
GAP = 0.28  # between two things in a row
PADDING = 0.12  # of the panel of a stage
LEGEND_ROW, LEGEND_WIDTH = 0.27, 5.6
DPI = 200
FONT_SIZE = 9.5

COLORS = {  # face and edge
    'block': ('#d6e6f8', '#2566a8'),
    'long range': ('#fde2c4', '#c2600c'),
    'pyramid': ('#d8f0dc', '#2c7a45'),
    'other': ('#eeeeee', '#666666'),
}
DARK, PALE, PANEL = '#222222', '#666666', '#f5f6f8'
DOWN, UP, SAME = '#2566a8', '#8b2f8f', '#444444'  # arrows: to a coarser level, to a finer one, neither


class StageLayout(NamedTuple):
    """Number of blocks of a stage by stride; without a decoder, its numbers are None."""

    encoder: dict[int, int]
    long_range: bool  # the blocks of the coarsest stride
    laterals: dict[int, int] | None
    decoder: dict[int, int] | None


class Layout(NamedTuple):
    """What is drawn of a network."""

    channels: dict[int, int]  # by stride
    stem_convolutions: int  # with stride 2, before the stem's blocks
    stem_blocks: int
    stages: list[StageLayout]
    out_strides: tuple[int, ...]
    pyramid_channels: int | None


def get_convolution(module: nn.Module) -> nn.Conv2d:
    """Return the first convolution of a module."""
    return next(child for child in module.modules() if isinstance(child, nn.Conv2d))


def count_blocks(group: nn.Module) -> int:
    """Return the number of blocks of a group; a lateral connection without a block is an Identity."""
    return 0 if isinstance(group, nn.Identity) else len(group)


def has_dilation(group: nn.Module) -> bool:
    """Whether blocks are long-range: they dilate a convolution, except those of 'cross_window'."""
    layers = [module for module in group.modules() if isinstance(module, nn.Conv2d)]
    return any(max(layer.dilation) > 1 for layer in layers)


def describe(model: CEDNet) -> Layout:
    """Read the layout from the modules of a network."""
    encoder = model.stages[0].encoder
    stem = [module for module in model.stem.children() if isinstance(module, nn.Conv2d)]
    channels = {math.prod(layer.stride[0] for layer in stem): stem[-1].out_channels}
    for layer in map(get_convolution, (model.stem.downsample, encoder.down4, encoder.down5)):
        channels[max(channels) * layer.stride[0]] = layer.out_channels
    return Layout(
        channels,
        len(stem),
        count_blocks(model.stem.blocks),
        [describe_stage(stage, list(channels)[1:]) for stage in model.stages],
        model.out_strides,
        model.out_channels[0] if isinstance(model.pyramid, Pyramid) else None,
    )


def describe_stage(stage: nn.Module, strides: list[int]) -> StageLayout:
    encoder, decoder = stage.encoder, stage.decoder
    groups = dict(zip(strides, map(count_blocks, (encoder.level3, encoder.level4, encoder.level5))))
    laterals = blocks = None
    if not isinstance(decoder, nn.Identity):
        laterals = dict(zip(strides, map(count_blocks, (decoder.lateral3, decoder.lateral4))))
        blocks = dict(zip(strides, map(count_blocks, (decoder.level3, decoder.level4))))
    return StageLayout(groups, has_dilation(encoder.level5), laterals, blocks)


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

    def write(self, x: float, y: float, text: str, name: str = '', **style: object) -> None:
        style = dict(ha='center', va='center', fontsize=FONT_SIZE, color=DARK, zorder=5) | style
        self.axes.text(x, y, text, gid=name or None, **style)

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


def draw_stage(
    drawing: Drawing, layout: StageLayout, x: float, index: int
) -> tuple[dict[int, Node], Node, float]:
    """Draw a stage from ``x`` on.

    Returns:
        The stage's features by stride, its first blocks, and the x where it ends.
    """
    name = f'stages.{index}'
    nodes = draw_encoder(drawing, layout, x + PADDING + BOX_WIDTH / 2, name)
    strides = list(nodes)
    first = nodes[strides[0]]
    right = x + PADDING + BOX_WIDTH
    if layout.laterals is not None and any(layout.laterals.values()):
        right += GAP + BOX_WIDTH
        for level, stride in zip((3, 4), strides):
            box = (right - BOX_WIDTH / 2, get_y(stride), layout.laterals[stride])
            lateral = drawing.draw_blocks(*box, f'{name}.decoder.lateral{level}')
            drawing.connect(nodes[stride].right, lateral.left)
            nodes[stride] = lateral
    if layout.decoder is not None:
        right = draw_decoder(drawing, layout.decoder, nodes, right + GAP, name)
    top = get_y(strides[0]) - BOX_HEIGHT / 2 - PADDING
    bottom = get_y(strides[-1]) + BOX_HEIGHT / 2 + 0.27
    drawing.draw_panel(x, right + PADDING, top, bottom, f'stage {index + 1}')
    return nodes, first, right + PADDING


def draw_encoder(drawing: Drawing, layout: StageLayout, x: float, name: str) -> dict[int, Node]:
    """Draw the encoder's blocks below each other; return them by stride."""
    nodes: dict[int, Node] = {}
    for level, (stride, number) in enumerate(layout.encoder.items(), start=3):
        kind = 'long range' if level == 5 and layout.long_range else 'block'
        group = f'{name}.encoder.level{level}'
        node = drawing.draw_blocks(x, get_y(stride), number, group, kind)
        if nodes:
            drawing.connect(nodes[max(nodes)].bottom, node.top, color=DOWN)
        nodes[stride] = node
    return nodes


def draw_decoder(
    drawing: Drawing, blocks: dict[int, int], nodes: dict[int, Node], x: float, name: str
) -> float:
    """Draw sums and blocks from stride 16 to 8, from ``x`` on; return the x where they end.

    Args:
        drawing: To draw on.
        blocks: Number of blocks after each sum, by stride.
        nodes: The encoder's features by stride; the decoder's replace them.
        x: Left edge of the first sum.
        name: Name of the stage.
    """
    coarse, center = nodes[max(nodes)], x + RADIUS
    path = [coarse.right, (center, coarse.y)]  # of the upsampled features
    for level in (4, 3):
        stride = sorted(nodes)[level - 3]
        out = drawing.draw_sum(center, get_y(stride))
        drawing.connect(nodes[stride].right, out.left)
        drawing.connect(*path, out.bottom, color=UP)
        if blocks[stride]:
            center += RADIUS + GAP + BOX_WIDTH / 2
            group = f'{name}.decoder.level{level}'
            box = drawing.draw_blocks(center, out.y, blocks[stride], group)
            drawing.connect(out.right, box.left)
            out = box
        path = [out.top]
        nodes[stride] = out
    return max(node.right[0] for node in nodes.values())


def draw_outputs(drawing: Drawing, layout: Layout, nodes: dict[int, Node], x: float) -> float:
    """Draw what the network returns and the head that takes it; return the x where it ends."""
    center = x + GAP + SMALL_WIDTH / 2
    pyramid = layout.pyramid_channels is not None
    outs: dict[int, Node] = {}
    for stride in sorted(set(layout.out_strides)):
        level = stride.bit_length() - 1
        text, kind = (f'P{level}', 'pyramid') if pyramid else (f'c{level}', 'other')
        out = drawing.draw_box(center, get_y(stride), text, f'out {stride}', kind, SMALL_WIDTH)
        if stride in nodes:
            drawing.connect(nodes[stride].right, out.left)
        else:  # the pyramid's coarsest levels
            drawing.connect(outs[stride // 2].bottom, out.top, color=DOWN)
        outs[stride] = out
    if pyramid and min(outs) == 4:
        drawing.connect(outs[8].top, outs[4].bottom)  # upsampled, without a convolution
    first, last = get_y(min(outs)), get_y(max(outs))
    title = f'{layout.pyramid_channels} channels' if pyramid else 'raw levels'
    drawing.write(center, first - BOX_HEIGHT / 2 - 0.14, title, 'outputs', color=PALE)
    head_x = center + SMALL_WIDTH / 2 + GAP + 0.16
    height = last - first + BOX_HEIGHT
    head = drawing.draw_box(head_x, (first + last) / 2, 'head', 'head', 'other', 0.32, height)
    for out in outs.values():
        drawing.connect(out.right, (head.left[0], out.y))
    return head.right[0]


def draw_labels(drawing: Drawing, layout: Layout) -> None:
    """Write the strides and their channels to the left of the rows."""
    for stride in sorted({*layout.channels, *layout.out_strides}):
        y = get_y(stride)
        channels = layout.channels.get(stride)
        up = 0.0 if channels is None else 0.09
        drawing.write(0.1, y - up, f'stride {stride}', ha='left', fontweight='bold')
        if channels is not None:
            name = f'channels {stride}'
            drawing.write(0.1, y + up, f'{channels} channels', name, ha='left', color=PALE)


def draw_legend(drawing: Drawing, x: float, y: float, has_long_range: bool, pyramid: bool) -> float:
    """Explain boxes and arrows, from the upper left corner on; return the y where it ends."""
    boxes = [('block', 'CED blocks')]
    boxes += [('long range', 'long-range CED blocks')] if has_long_range else []
    boxes += [('pyramid', 'pyramid: convolution, normalisation')] if pyramid else []
    for row, (kind, text) in enumerate(boxes):
        height = y + LEGEND_ROW * row
        drawing.draw_box(x + 0.2, height, '', '', kind, 0.3, 0.17)
        drawing.write(x + 0.47, height, text, ha='left')
    x += 3.05
    arrows = [(DOWN, 'convolution with stride 2'), (UP, '1x1 convolution, upsampling')]
    for row, (color, text) in enumerate(arrows):
        height = y + LEGEND_ROW * row
        drawing.connect((x, height), (x + 0.35, height), color=color)
        drawing.write(x + 0.47, height, text, ha='left')
    height = y + LEGEND_ROW * len(arrows)
    drawing.draw_sum(x + 0.18, height)
    drawing.write(x + 0.47, height, 'sum, then normalisation', ha='left')
    return height


def draw_network(layout: Layout) -> Figure:
    """Draw a network: rows are strides; data flows from left to right."""
    figure = Figure()
    drawing = Drawing(figure.add_axes((0, 0, 1, 1)))
    y = get_y(4)
    image = drawing.draw_box(LABELS + 0.35, y, 'image', 'image', 'other', SMALL_WIDTH)
    x = image.right[0] + 0.4
    stem = drawing.draw_blocks(x + BOX_WIDTH / 2, y, layout.stem_blocks, 'stem.blocks')
    drawing.connect(image.right, stem.left, color=DOWN)
    drawing.write(image.right[0] + 0.19, y - 0.13, f'{layout.stem_convolutions}x', color=PALE)
    drawing.write(stem.right[0] + 0.08, y - 0.13, 'stem', ha='left', color=PALE)
    nodes = {4: stem}
    previous: Node | None = None
    x -= PADDING
    for index, stage in enumerate(layout.stages):
        features, first, end = draw_stage(drawing, stage, x, index)
        if previous is None:
            drawing.connect(stem.bottom, first.top, color=DOWN)
        else:
            drawing.connect(previous.right, first.left)
        nodes |= features
        previous = features[min(features)]
        x = end + GAP / 2
    x -= GAP / 2
    if max(layout.out_strides) > 32:  # the legend is to the left of these
        x = max(x, LABELS + LEGEND_WIDTH - GAP)
    width = max(draw_outputs(drawing, layout, nodes, x) + 0.1, LABELS + LEGEND_WIDTH)
    draw_labels(drawing, layout)
    has_long_range = any(stage.long_range for stage in layout.stages)
    legend_y = get_y(32) + BOX_HEIGHT / 2 + 0.27 + 0.3
    end = draw_legend(drawing, LABELS, legend_y, has_long_range, layout.pyramid_channels is not None)
    height = max(end, get_y(max(layout.out_strides)) + BOX_HEIGHT / 2) + 0.15
    drawing.axes.set(xlim=(0, width), ylim=(height, 0))
    drawing.axes.axis('off')
    figure.set_size_inches(width, height)
    return figure


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--arch', default='tiny', help='preset of CEDNet; default: tiny')
    parser.add_argument('--style', default='fpn', help='decoder: fpn, unet or hourglass; default: fpn')
    parser.add_argument(
        '--levels',
        type=int,
        nargs='*',
        default=LEVELS,
        help='levels of the pyramid; none: the raw levels; default: 3 4 5 6 7',
    )
    parser.add_argument(
        '--out',
        type=Path,
        default=ROOT / 'docs' / 'images' / 'network.png',
        help='picture to write; default: docs/images/network.png',
    )
    args = parser.parse_args(argv)
    with exit_on_error():
        pyramid = dict(levels=args.levels) if args.levels else None
        layout = describe(CEDNet(args.arch, style=args.style, pyramid=pyramid))
        figure = draw_network(layout)
        with atomic_write(args.out) as temporary:
            figure.savefig(temporary, dpi=DPI, format='png', metadata={KEY: json.dumps(layout)})
    print(args.out)
    return 0


if __name__ == '__main__':
    sys.exit(main())
