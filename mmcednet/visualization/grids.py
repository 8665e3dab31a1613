"""Pictures in a grid: panels of images with their labels and predictions."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from mmcednet.files import atomic_write

from .predictions import Classes
from .text import draw_legend

SIDE = 288  # px: the longer side of an image in a grid
MARGIN = 12
TITLE_HEIGHT = 20


def fit(image: np.ndarray) -> np.ndarray:
    """Resize an image (H, W, 3) so that its longer side is ``SIDE``; small ones stay sharp."""
    factor = SIDE / max(image.shape[:2])
    size = [max(1, round(side * factor)) for side in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_NEAREST if factor > 1 else cv2.INTER_AREA)


def resize_boxes(boxes: np.ndarray, old: tuple[int, int], new: tuple[int, int]) -> torch.Tensor:
    """Scale boxes (n, 4) from an image of the size ``old`` (H, W) to one of the size ``new``."""
    scale = np.array([new[1] / old[1], new[0] / old[0]] * 2)
    return torch.as_tensor(boxes * scale, dtype=torch.float32)


def resize_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a mask or label map (h, w) to (H, W), without mixing labels."""
    return cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST)


def add_title(image: np.ndarray, title: str) -> np.ndarray:
    """Add a title above an image: (H, W, 3) -> (H + 20, W + 4, 3)."""
    image = np.pad(image, ((TITLE_HEIGHT, 0), (2, 2), (0, 0)), constant_values=255)
    font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.45
    width = cv2.getTextSize(title, font, size, 1)[0][0]
    size *= min(1.0, (image.shape[1] - 4) / max(width, 1))
    return cv2.putText(image, title, (2, 14), font, size, (0, 0, 0), 1, cv2.LINE_AA)


def join_panels(panels: Mapping[str, np.ndarray], note: str = '') -> np.ndarray:
    """Put panels of one image side by side, with their titles, and a note above all."""
    joined = np.hstack([add_title(panel, title) for title, panel in panels.items()])
    return add_title(joined, note) if note else joined


def write_grid(
    cells: Sequence[np.ndarray], out: Path, columns: int, classes: Classes | None = None
) -> None:
    """Write pictures (H, W, 3), RGB, of any sizes in rows, at the right a legend of the classes."""
    height = max(cell.shape[0] for cell in cells) + MARGIN
    width = max(cell.shape[1] for cell in cells) + 2 * MARGIN
    grid = np.full((math.ceil(len(cells) / columns) * height, columns * width, 3), 255, np.uint8)
    for index, cell in enumerate(cells):
        top, left = index // columns * height, index % columns * width + MARGIN
        grid[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    if classes is not None:
        shown = dict.fromkeys(range(len(classes.names)), '')
        grid = draw_legend(grid, classes.names, classes.colours, shown)
    with atomic_write(out) as temporary:
        cv2.imwrite(str(temporary), cv2.cvtColor(grid, cv2.COLOR_RGB2BGR))
