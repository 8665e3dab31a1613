"""Small networks train with fewer threads, where a command has chosen their number."""

import pytest
import torch
from torch import nn

from mmcednet.launch.threads import WORK_PER_THREAD, adapt_threads
from mmcednet_threads import CHOSEN

PARAMS = 3 * 4  # of the model below
SIDE = 100


class Model(nn.Module):
    """A backbone, in which each pixel takes 12 parameters."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Conv2d(3, 4, 1, bias=False)


@pytest.fixture
def get_threads(monkeypatch):
    """The number of threads of a batch for which so many threads pay, of four."""
    before = torch.get_num_threads()
    monkeypatch.setenv('OMP_NUM_THREADS', '4')
    monkeypatch.setattr('mmcednet.launch.threads.WORK_PER_THREAD', PARAMS * SIDE**2)
    torch.set_num_threads(4)

    def call(model, images):
        model.backbone(torch.rand(images, 3, SIDE, SIDE))
        return torch.get_num_threads()

    yield call
    torch.set_num_threads(before)


def test_a_training_has_as_many_threads_as_pay(get_threads, monkeypatch):
    monkeypatch.setenv(CHOSEN, '4')
    model = Model()
    adapt_threads(model)
    assert [get_threads(model, images) for images in (1, 2, 3, 4, 5, 1)] == [1, 2, 3, 4, 4, 1]
    with torch.no_grad():  # a validation in between
        assert get_threads(model, 1) == 4
    assert get_threads(model, 1) == 1


@pytest.mark.parametrize('chosen', [None, '2'])
def test_a_number_that_no_command_has_chosen_is_kept(get_threads, monkeypatch, chosen):
    if chosen:
        monkeypatch.setenv(CHOSEN, chosen)
    model = Model()
    adapt_threads(model)
    assert get_threads(model, 1) == 4


def test_a_model_without_a_backbone_is_left_as_it_is(monkeypatch):
    monkeypatch.setenv(CHOSEN, '1')
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    model = nn.Conv2d(3, 4, 1)
    adapt_threads(model)
    assert not model._forward_pre_hooks


def test_two_threads_do_not_pay_for_the_demo_and_pay_for_twice_its_pixels():
    params, pixels = 510_000, 8 * 96**2
    assert 1 <= params * pixels / WORK_PER_THREAD < 2
    assert params * 2 * pixels / WORK_PER_THREAD >= 2
