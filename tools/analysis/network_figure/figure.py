"""Draws a network: rows are strides; data flows from left to right."""

from matplotlib.figure import Figure

from .drawing import (
    BOX_HEIGHT,
    BOX_WIDTH,
    DOWN,
    PALE,
    RADIUS,
    UP,
    Drawing,
    Node,
    get_y,
)
from .layout import Layout, StageLayout

# Sizes in inches
LABELS = 1.15  # width of the column with strides and channels
SMALL_WIDTH = 0.54  # boxes of the image and the pyramid
GAP = 0.28  # between two things in a row
PADDING = 0.12  # of the panel of a stage
LEGEND_ROW, LEGEND_WIDTH = 0.27, 5.6


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
