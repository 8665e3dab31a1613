import os
import shutil
from collections.abc import Iterator
from pathlib import Path

os.environ['OMP_NUM_THREADS'] = '1'  # tests run in as many processes as cores; before torch is imported

import cv2
import fast_configs  # noqa: F401
import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.runner import CheckpointLoader

from mmcednet.checkpoints import safe_loading

ROOT = Path(__file__).resolve().parents[1]
SMALL = dict(channels=(8, 16, 24, 32), blocks=(1, 1, 2, 1), num_stages=2)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        '--no-mkldnn', action='store_true', help="compute without oneDNN, by torch's own kernels"
    )
    parser.addoption(
        '--device',
        default='cuda',
        help='of the tests in tests/gpu; cpu: what of them needs no GPU, on smaller images',
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One process more than cores: tests that start processes wait for them."""
    return (os.cpu_count() or 1) + 1


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption('no_mkldnn'):
        torch.backends.mkldnn.set_flags(False)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In several processes, the slow tests come first: at the end, none waits for another."""
    if hasattr(config, 'workerinput'):
        items.sort(key=lambda item: item.get_closest_marker('slow') is None)


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
    """A generated dataset of a few images."""
    from mmcednet.data.shapes import draw_dataset

    return draw_dataset(tmp_path_factory.mktemp('data') / 'shapes', train=6, val=3, size=64, seed=0)


@pytest.fixture
def single_shapes(tmp_path: Path) -> Path:
    """A generated dataset for classification, to be changed by a test: four classes, 8 + 4 images."""
    from mmcednet.data.shapes import draw_dataset

    return draw_dataset(tmp_path / 'single', train=8, val=4, size=64, seed=0, single=True)


@pytest.fixture(scope='session')
def ade20k(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same images in ADE20K's format: JPEG, and label maps whose ids start at 1."""
    folder = tmp_path_factory.mktemp('data') / 'ade20k'
    for ours, theirs in (('train', 'training'), ('val', 'validation')):
        for part in ('images', 'annotations'):
            (folder / part / theirs).mkdir(parents=True)
        for path in (shapes / ours).glob('*.png'):
            cv2.imwrite(str(folder / 'images' / theirs / f'{path.stem}.jpg'), cv2.imread(str(path)))
            labels = cv2.imread(str(shapes / 'labels' / ours / path.name), cv2.IMREAD_UNCHANGED)
            cv2.imwrite(str(folder / 'annotations' / theirs / path.name), labels + 1)
    return folder


@pytest.fixture
def bccd(tmp_path: Path) -> Path:
    """Twenty photographs of blood cells with boxes, in Pascal VOC's format, to be changed by a test."""
    return shutil.copytree(ROOT / 'tests' / 'assets' / 'bccd', tmp_path / 'bccd')


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """The records of mmengine's logger, from warnings on, whichever logger an earlier test has left."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('WARNING')
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)
    logger.setLevel(level)


@pytest.fixture(autouse=True)
def loaders(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """After a test that called a tool in this process, checkpoints are loaded as before."""
    monkeypatch.setattr(CheckpointLoader, '_schemes', dict(CheckpointLoader._schemes))
    forced = os.environ.pop(safe_loading.VARIABLE, None)
    yield
    os.environ.pop(safe_loading.VARIABLE, None)
    if forced is not None:
        os.environ[safe_loading.VARIABLE] = forced


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)
