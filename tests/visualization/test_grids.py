"""Resized images with their labels, and pictures in rows."""

import cv2
import numpy as np

from mmcednet.visualization import grids


def test_labels_fit_the_resized_image():
    """A rectangle of an image that is enlarged, and of one that is reduced."""
    for height, width in ((8, 12), (600, 900)):
        box = np.array([[width // 4, height // 4, width // 2, height // 2]])
        left, top, right, bottom = box[0]
        mask = np.zeros((height, width), np.uint8)
        mask[top:bottom, left:right] = 1
        image = grids.fit(np.repeat(mask[..., None] * 200, 3, 2))
        assert image.shape == (192, 288, 3)
        resized = grids.resize_mask(mask, image.shape[:2])
        left, top, right, bottom = (
            grids.resize_boxes(box, (height, width), (192, 288))[0].int().tolist()
        )
        assert resized[top:bottom, left:right].all()
        assert resized.sum() == (bottom - top) * (right - left)
        assert (image[..., 0] == 200 * resized).all()


def test_grid_of_pictures_of_several_sizes(tmp_path):
    cells = [np.full((20, 10 * number, 3), (200, 0, 0), np.uint8) for number in (1, 2, 3)]
    grids.write_grid(cells, tmp_path / 'grid.png', columns=2)
    grid = cv2.imread(str(tmp_path / 'grid.png'))
    margin = grids.MARGIN
    assert grid.shape == (2 * (20 + margin), 2 * (30 + 2 * margin), 3)
    assert (grid[:20, margin : margin + 10] == (0, 0, 200)).all()  # OpenCV's order
    coloured = (grid == (0, 0, 200)).all(-1).sum()
    assert coloured == 20 * (10 + 20 + 30)


def test_long_titles_fit():
    titled = grids.add_title(
        np.full((9, 50, 3), 255, np.uint8), 'a title that is longer than the image'
    )
    assert titled.shape == (29, 54, 3)
    assert (titled[:20] < 128).any()
