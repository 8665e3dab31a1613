"""Text in pictures: labels at objects, and a legend."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONT = Path(matplotlib.get_data_path(), 'fonts', 'ttf', 'DejaVuSans.ttf')  # Latin, Greek, Cyrillic
MAX_NAME = 24  # characters of a name in the legend
SMALLEST = 9  # px: legible
PADDING = 2  # px around a label


class Place(NamedTuple):
    """The rectangle of a label, in pixels."""

    left: int
    top: int
    right: int
    bottom: int


@cache
def load_font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FONT, size)


def get_font(height: int, width: int) -> ImageFont.FreeTypeFont:
    """The font of an image's labels and legend: its size follows from the image's."""
    return load_font(min(max(round((height * width) ** 0.5 / 45), SMALLEST), 60))


def fit_text(font: ImageFont.FreeTypeFont, text: str) -> tuple[int, int]:
    """Width and height of a label with its padding."""
    ascent, descent = font.getmetrics()
    return int(font.getlength(text)) + 1 + 2 * PADDING, ascent + descent + PADDING


def find_free_place(
    starts: Sequence[tuple[float, float]],
    size: tuple[int, int],
    image_size: tuple[int, int],
    taken: Sequence[Place],
) -> Place | None:
    """Find a place for a label that lies in the image and covers no other.

    Args:
        starts: Left and top of possible places, the best first; they are moved into the image.
        size: Width and height of the label.
        image_size: Width and height of the image.
        taken: Places of the other labels.

    Returns:
        The first free place; None if there is none.
    """
    (width, height), (image_width, image_height) = size, image_size
    if width > image_width or height > image_height:
        return None
    for x, y in starts:
        left = int(min(max(x, 0), image_width - width))
        top = int(min(max(y, 0), image_height - height))
        place = Place(left, top, left + width, top + height)
        if not any(overlap(place, other) for other in taken):
            return place
    return None


def overlap(one: Place, other: Place) -> bool:
    return (
        one.left < other.right
        and other.left < one.right
        and one.top < other.bottom
        and other.top < one.bottom
    )


def draw_label(
    canvas: ImageDraw.ImageDraw,
    place: Place,
    text: str,
    font: ImageFont.FreeTypeFont,
    colour: np.ndarray,
) -> None:
    """Write a label on its colour, in black or white, whichever is more legible."""
    background = tuple(colour.tolist())
    canvas.rectangle((place.left, place.top, place.right - 1, place.bottom - 1), fill=background)
    canvas.text((place.left + PADDING, place.top), text, fill=choose_ink(colour), font=font)


def choose_ink(colour: np.ndarray) -> str:
    """Black on bright colours, white on dark ones."""
    brightness = colour @ np.array([0.299, 0.587, 0.114])
    return 'black' if brightness > 130 else 'white'


def draw_legend(
    image: np.ndarray,
    names: Sequence[str],
    colours: np.ndarray | None,
    values: Mapping[int, str],
) -> np.ndarray:
    """Add a legend at the right of an image: colour, name and value of the classes in it.

    Its width depends on the image's size and on the names of all classes, so that the frames of a video
    keep one size. If not all rows fit, the last one says how many are missing.

    Args:
        image: (H, W, 3), uint8, RGB.
        names: Names of all classes.
        colours: (classes, 3), uint8, RGB. None: the legend has no colours.
        values: Index of a class -> its value, such as its number of objects, in the order of the rows.
            Values have at most 6 characters.

    Returns:
        (H, W + legend, 3), uint8, RGB.
    """
    height, width = image.shape[:2]
    font = get_font(height, width)
    ascent, descent = font.getmetrics()
    row, margin = ascent + descent + 2, ascent // 2
    shorter = [name if len(name) <= MAX_NAME else f'{name[: MAX_NAME - 1]}…' for name in names]
    name_left = margin if colours is None else margin + ascent + margin
    name_width = max(font.getlength(name) for name in [*shorter, '100 more'])
    value_right = int(name_left + name_width + margin + font.getlength('100.0%'))
    legend = Image.new('RGB', (value_right + margin, height), 'white')
    canvas = ImageDraw.Draw(legend)
    labels = list(values)
    rows = max(1, (height - margin) // row)
    shown = labels if len(labels) <= rows else labels[: rows - 1]
    for index, label in enumerate(shown):
        top = margin // 2 + index * row
        if colours is not None:
            box = (margin, top + 2, margin + ascent, top + 2 + ascent)
            canvas.rectangle(box, fill=tuple(colours[label].tolist()), outline='black')
        canvas.text((name_left, top), shorter[label], fill='black', font=font)
        canvas.text((value_right, top), values[label], fill='black', font=font, anchor='ra')
    if len(shown) < len(labels):
        top = margin // 2 + len(shown) * row
        canvas.text((name_left, top), f'{len(labels) - len(shown)} more', fill='black', font=font)
    return np.hstack([image, np.asarray(legend)])
