"""Predictions drawn into an image: boxes, masks, label maps, with a legend beside it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw

from .text import Place, draw_label, draw_legend, find_free_place, fit_text, get_font

FILL = 0.4  # share of a class's colour in its pixels
COARSE = 256  # px: the longer side of the label map in which the places of labels are searched


@dataclass(frozen=True)
class Style:
    """How predictions are drawn.

    Attributes:
        labels: Whether to write classes and scores into the picture, where there is room.
        legend: Whether to add a legend beside the picture.
        line_width: Of boxes and outlines, in pixels; None: 1 for small images, and 1 more for each 500
            pixels of the longer side; 0: no lines.
    """

    labels: bool = True
    legend: bool = True
    line_width: int | None = None

    def get_line_width(self, image: np.ndarray) -> int:
        if self.line_width is not None:
            return self.line_width
        return 1 + max(image.shape[:2]) // 500


DEFAULT = Style()


@dataclass(frozen=True)
class Classes:
    """The classes of a model.

    Attributes:
        names: Their names.
        colours: (classes, 3), uint8, RGB.
    """

    names: Sequence[str]
    colours: np.ndarray


def draw_detections(
    image: np.ndarray,
    classes: Classes,
    labels: np.ndarray,
    boxes: np.ndarray,
    scores: np.ndarray | None = None,
    masks: np.ndarray | None = None,
    style: Style = DEFAULT,
) -> np.ndarray:
    """Draw objects: their boxes, or if there are masks these with outlines.

    A label is the class and the score, or only the score, whichever is not larger than the object and
    covers no other label; without room for either there is none.

    Args:
        image: (H, W, 3), uint8, RGB.
        classes: The classes.
        labels: (N,), indices into the classes.
        boxes: (N, 4): left, top, right, bottom in pixels.
        scores: (N,), from 0 to 1. Default: of the ground truth, which has none.
        masks: (N, H, W), bool.
        style: What to draw.

    Returns:
        (H, W, 3), or with a legend (H, W + legend, 3), uint8, RGB.
    """
    drawn = image.copy()
    width = style.get_line_width(image)
    for index in range(len(labels) - 1, -1, -1):  # the highest scores are drawn last
        colour = classes.colours[labels[index]].tolist()
        if masks is not None:
            draw_mask(drawn, masks[index], colour, width)
        elif width:
            left, top, right, bottom = boxes[index].round().astype(int).tolist()
            cv2.rectangle(drawn, (left, top), (right, bottom), colour, width)
    if style.labels:
        drawn = label_detections(drawn, classes, labels, boxes, scores)
    if style.legend:
        counts = Counter(labels.tolist())
        drawn = draw_legend(
            drawn, classes.names, classes.colours, {i: str(n) for i, n in counts.items()}
        )
    return drawn


def draw_mask(image: np.ndarray, mask: np.ndarray, colour: Sequence[int], line_width: int) -> None:
    """Fill and outline a mask (H, W) in place."""
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    part = image[top : top + height, left : left + width]
    inside = np.ascontiguousarray(mask[top : top + height, left : left + width])
    part[inside] = (part[inside] * (1 - FILL) + np.array(colour) * FILL).astype(np.uint8)
    if line_width:
        found, _ = cv2.findContours(inside.view(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(image, found, -1, colour, line_width, offset=(left, top))


def label_detections(
    image: np.ndarray,
    classes: Classes,
    labels: np.ndarray,
    boxes: np.ndarray,
    scores: np.ndarray | None,
) -> np.ndarray:
    """Write a label at each object that has room for it; return a new image."""
    picture = Image.fromarray(image)
    canvas = ImageDraw.Draw(picture)
    font = get_font(image.shape[0], image.shape[1])
    taken: list[Place] = []
    for index, label in enumerate(labels.tolist()):
        left, top, right, bottom = boxes[index].tolist()
        texts = [classes.names[label]]
        if scores is not None:
            score = f'{scores[index]:.2f}'
            texts = [f'{classes.names[label]} {score}', score]
        for text in texts:
            size = fit_text(font, text)
            if size[0] > max(right - left, 0) or size[1] * 2 > bottom - top:
                continue  # it would hide the object, or its neighbours
            starts = [
                (left, top - size[1]),
                (left, top),
                (left, bottom),
                (right - size[0], bottom - size[1]),
            ]
            place = find_free_place(starts, size, picture.size, taken)
            if place is not None:
                draw_label(canvas, place, text, font, classes.colours[label])
                taken.append(place)
                break
    return np.asarray(picture)


def draw_label_map(
    image: np.ndarray, classes: Classes, label_map: np.ndarray, style: Style = DEFAULT
) -> np.ndarray:
    """Blend an image with the colours of the classes of its pixels.

    The name of a class is in the middle of its widest area, if it fits there.

    Args:
        image: (H, W, 3), uint8, RGB.
        classes: The classes.
        label_map: (H, W), integers: indices into the classes; pixels of others stay as they are.
        style: What to draw.

    Returns:
        (H, W, 3), or with a legend (H, W + legend, 3), uint8, RGB.
    """
    known = (label_map >= 0) & (label_map < len(classes.names))
    indices = np.where(known, label_map, len(classes.names)).astype(np.uint16)
    counts = np.bincount(indices.ravel(), minlength=len(classes.names) + 1)[:-1]
    colours = np.take(np.vstack([classes.colours, np.zeros((1, 3), np.uint8)]), indices, axis=0)
    drawn = cv2.addWeighted(image, 1 - 1.5 * FILL, colours, 1.5 * FILL, 0)
    width = style.get_line_width(image)
    if width:
        edges = find_edges(indices)
        if width > 1:
            edges = cv2.dilate(edges, np.ones((width, width), np.uint8))
        cv2.copyTo(colours, edges, drawn)
    cv2.copyTo(image, (~known).view(np.uint8), drawn)
    shown = np.flatnonzero(counts).tolist()
    if style.labels:
        drawn = label_areas(drawn, classes, indices, shown)
    if style.legend:
        shares = {label: f'{counts[label] / label_map.size:.1%}' for label in shown}
        drawn = draw_legend(drawn, classes.names, classes.colours, shares)
    return drawn


def find_edges(label_map: np.ndarray) -> np.ndarray:
    """Mark the pixels (H, W) whose right or lower neighbour is of another class, with 1."""
    edges = np.zeros(label_map.shape, np.uint8)
    edges[:, :-1] = label_map[:, :-1] != label_map[:, 1:]
    edges[:-1] |= label_map[:-1] != label_map[1:]
    return edges


def label_areas(
    image: np.ndarray, classes: Classes, label_map: np.ndarray, shown: Sequence[int]
) -> np.ndarray:
    """Write the names of classes into their areas; return a new image."""
    picture = Image.fromarray(image)
    canvas = ImageDraw.Draw(picture)
    font = get_font(image.shape[0], image.shape[1])
    factor = max(1.0, max(label_map.shape) / COARSE)
    coarse_size = [max(1, round(side / factor)) for side in label_map.shape[::-1]]
    coarse = cv2.resize(label_map, coarse_size, interpolation=cv2.INTER_NEAREST)
    taken: list[Place] = []
    for label in shown:
        area = np.pad((coarse == label).astype(np.uint8), 1)
        distances = cv2.distanceTransform(area, cv2.DIST_L2, 3)[1:-1, 1:-1]
        y, x = np.unravel_index(distances.argmax(), distances.shape)
        text = classes.names[label]
        size = fit_text(font, text)
        if 2 * distances[y, x] * factor < size[1]:
            continue
        start = ((x + 0.5) * factor - size[0] / 2, (y + 0.5) * factor - size[1] / 2)
        place = find_free_place([start], size, picture.size, taken)
        if place is not None:
            draw_label(canvas, place, text, font, classes.colours[label])
            taken.append(place)
    return np.asarray(picture)
