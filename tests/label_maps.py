"""Images and label maps for segmentation, drawn with any values and saved in any mode."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

SIZES = dict(train=4, val=2)


def draw_label_maps(
    folder: Path, values: tuple[int, ...] = (0, 1), mode: str = 'L', suffix: str = '.png'
) -> list[tuple[Path, np.ndarray]]:
    """Draw images with a square for each value but the first, which is the background.

    Returns:
        Label maps for training with what is drawn in them: the index in ``values`` of each pixel.
    """
    random, drawn = np.random.default_rng(0), []
    for split, count in SIZES.items():
        images, labels = folder / 'images' / split, folder / 'annotations' / split
        for path in (images, labels):
            path.mkdir(parents=True)
        for number in range(count):
            image = random.integers(110, 130, (48, 64, 3)).astype(np.uint8)
            indices = np.zeros((48, 64), np.uint8)
            for index in range(1, len(values)):
                x, y = random.integers(16 * (index - 1), 16 * index), random.integers(0, 30)
                image[y : y + 16, x : x + 16] = (40, 40, 60 * index)
                indices[y : y + 16, x : x + 16] = index
            cv2.imwrite(str(images / f'{number}.jpg'), image)
            path = labels / f'{number}{suffix}'
            make_picture(np.array(values)[indices], mode).save(path)
            if split == 'train':
                drawn.append((path, indices))
    return drawn


def make_picture(values: np.ndarray, mode: str) -> Image.Image:
    """A picture with these values: of 1, 8 or 16 bits, or indices of a palette."""
    if mode == 'I;16':
        return Image.fromarray(values.astype(np.uint16))
    if mode == '1':
        return Image.fromarray(values.astype(bool))
    picture = Image.fromarray(values.astype(np.uint8))
    if mode == 'P':
        picture = Image.frombytes('P', picture.size, picture.tobytes())
        picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0] + [7] * 759)
    return picture
