"""How large the images of a dataset are."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.progress import track

from mmcednet.images import read_size


def measure_median_size(files: Sequence[Path]) -> tuple[int, int]:
    """Median width and height in px of images as they are loaded.

    Raises:
        ValueError: One of them is not an image, or has too many pixels.
    """
    sizes = []
    for file in track(files, 'reading sizes of images'):
        size = read_size(file)
        if size is None:
            raise ValueError(f'{file} cannot be read as an image')
        sizes.append(size[:2])
    width, height = np.median(sizes, 0).round().astype(int).tolist()
    return width, height
