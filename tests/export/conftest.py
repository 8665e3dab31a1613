from collections.abc import Callable

import pytest
from small_models import SHAPES, save_random_model

from mmcednet.inference.predict import Predictor, load_predictor


@pytest.fixture(scope='session')
def load_model(root, tmp_path_factory) -> Callable[[str], Predictor]:
    """Load a trained example, or the nano model of a framework with random weights; each once."""
    loaded = {}

    def load(name: str) -> Predictor:
        if name not in loaded:
            example = root / 'examples' / name
            if example.is_dir():
                config = example / 'config.py'
                (checkpoint,) = example.glob('*.safetensors')
            else:
                config = root / 'configs' / name / 'cednet_nano_shapes.py'
                checkpoint = tmp_path_factory.mktemp('checkpoints') / f'{name}.pth'
                meta = {} if name == 'upernet' else dict(classes=SHAPES)
                save_random_model(config, checkpoint, **meta)
            loaded[name] = load_predictor(str(config), str(checkpoint), 'cpu')
        return loaded[name]

    return load
