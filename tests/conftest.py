from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
SMALL = dict(channels=(8, 16, 24, 32), blocks=(1, 1, 2, 1), num_stages=2)


@pytest.fixture(scope='session')
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture
def small() -> dict:
    """The arch of a CEDNet that computes in milliseconds."""
    return dict(SMALL)


@pytest.fixture(scope='session')
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated data set of a few images."""
    from mmcednet.data.shapes import draw

    return draw(tmp_path_factory.mktemp('data') / 'shapes', train=6, val=3, size=64, seed=0)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)
