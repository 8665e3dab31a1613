"""Colours of classes, which are told apart easily."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import cv2
import numpy as np

STEPS = 16  # of each channel, among which colours are chosen
LIGHTNESS = 45, 85  # of CIELAB, from 0 to 100: visible on dark and on bright images
CHROMA = 35  # of CIELAB: no greys, which images have
FIRST = 230, 60, 50


@cache
def choose_colours(number: int) -> np.ndarray:
    """Choose colours, each as far as possible from those before it in CIELAB.

    Args:
        number: How many.

    Returns:
        (number, 3), uint8, RGB; the colours of a smaller number are the first of a larger one.
    """
    values = np.linspace(0, 1, STEPS, dtype=np.float32)
    colours = np.stack(np.meshgrid(values, values, values), -1).reshape(-1, 3)
    lab = convert_to_lab(colours)
    low, high = LIGHTNESS
    usable = (lab[:, 0] >= low) & (lab[:, 0] <= high) & (np.hypot(lab[:, 1], lab[:, 2]) >= CHROMA)
    colours, lab = colours[usable], lab[usable]
    chosen = np.array(FIRST, np.float32)[None] / 255
    distances = np.linalg.norm(lab - convert_to_lab(chosen), axis=1)
    for _ in range(number - 1):
        index = distances.argmax()
        chosen = np.vstack([chosen, colours[index]])
        distances = np.minimum(distances, np.linalg.norm(lab - lab[index], axis=1))
    return (chosen[:number] * 255).round().astype(np.uint8)


def convert_to_lab(colours: np.ndarray) -> np.ndarray:
    """Convert RGB colours (n, 3) from 0 to 1, float32, to CIELAB."""
    return cv2.cvtColor(colours[None], cv2.COLOR_RGB2Lab)[0]


def find_palette(dataset: Any, config: Mapping[str, Any]) -> np.ndarray | None:
    """The colours of a dataset's classes.

    They are those that its config states, or the usual ones of a dataset whose classes are unchanged
    (COCO, Cityscapes), otherwise :func:`choose_colours`: the toolboxes give other classes the first
    colours of COCO, or random ones.

    Args:
        dataset: Dataset of mmdet, mmseg or mmpretrain.
        config: Its config.

    Returns:
        (classes, 3), uint8, RGB; None if the classes are unknown.
    """
    classes = dataset.metainfo.get('classes')
    if not classes:
        return None
    usual = getattr(dataset, 'METAINFO', {})
    palette = (config.get('metainfo') or {}).get('palette')
    if not palette and list(usual.get('classes') or ()) == list(classes):
        palette = usual.get('palette')
    if not palette or isinstance(palette, str):  # mmdet also has 'random'
        return choose_colours(len(classes))
    return np.array(palette, np.uint8)
