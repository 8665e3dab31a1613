from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_models import SHAPES, save_random_model

from mmcednet.inference.predict import Predictor, load_predictor


@pytest.fixture(scope='session')
def load_small(root, tmp_path_factory) -> Callable[[str], Predictor]:
    """Load the nano model of a framework, with random weights; each is loaded once."""
    loaded = {}

    def load(framework: str) -> Predictor:
        if framework not in loaded:
            config = root / 'configs' / framework / 'cednet_nano_shapes.py'
            path = tmp_path_factory.mktemp('checkpoints') / f'{framework}.pth'
            # The config of the segmenter has one class more, and its own metainfo.
            meta = {} if framework == 'upernet' else dict(classes=SHAPES)
            loaded[framework] = load_predictor(
                str(config), str(save_random_model(config, path, **meta)), 'cpu'
            )
        return loaded[framework]

    return load


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Twelve frames (48, 64) of noise with the means 30, 45, ..., 195."""
    noise = np.random.default_rng(0)
    path = tmp_path / 'clip.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 5, (64, 48))
    for index in range(12):
        writer.write(noise.integers(15 * index, 15 * index + 61, (48, 64, 3), np.uint8))
    writer.release()
    return path
