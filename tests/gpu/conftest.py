"""Tests on a GPU: make test-gpu. With --device cpu, what of them a CPU can run, on smaller images."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker('gpu')


@pytest.fixture(scope='session')
def device(request: pytest.FixtureRequest) -> torch.device:
    device = torch.device(request.config.getoption('device'))
    if device.type == 'cuda' and not torch.cuda.is_available():
        pytest.skip('no GPU')
    return device


@pytest.fixture
def gpu(device: torch.device) -> torch.device:
    """Of tests that a CPU cannot run at all."""
    if device.type != 'cuda':
        pytest.skip('no GPU')
    return device


@pytest.fixture(autouse=True)
def exact_products(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """float32 is not rounded to TF32, torch's default for convolutions."""
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)
    yield
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
