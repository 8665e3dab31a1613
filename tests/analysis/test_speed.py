"""Timing in turn, and counting of work and memory, on functions whose values are known."""

import time

import pytest
import torch
from torch import nn

from mmcednet.analysis import speed

CPU = torch.device('cpu')


def test_functions_are_called_in_turn():
    calls = []
    steps = {name: lambda name=name: calls.append(name) for name in 'ab'}
    seconds = speed.time_in_turn(steps, 3, CPU)
    assert calls == ['a', 'b'] * 4  # the first call of each is not timed
    assert {name: len(values) for name, values in seconds.items()} == {'a': 3, 'b': 3}


def test_seconds_are_those_of_the_call():
    assert speed.time_once(lambda: time.sleep(0.05), CPU) >= 0.05


def test_spread():
    assert speed.compute_spread([1.0, 2.0]) == 0
    assert speed.compute_spread([2.0] * 8) == 0
    assert speed.compute_spread([1.0, 2.0, 3.0]) == 0
    assert speed.compute_spread([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(1.5 / 3)


def test_work_of_a_matrix_product():
    a, b = torch.randn(4, 8), torch.randn(8, 16)
    work = speed.count_work(lambda: (a @ b).view(-1).exp())
    assert work.flops == 2 * 4 * 8 * 16
    assert work.traffic == 4 * (a.numel() + b.numel() + 64 + 2 * 64)


@pytest.mark.parametrize('groups', [1, 6])
@pytest.mark.parametrize('transposed', [False, True])
def test_flop_of_convolutions_gradients(groups, transposed):
    """Each of the two gradients has as many multiply-adds as the convolution."""
    kind = torch.nn.ConvTranspose2d if transposed else torch.nn.Conv2d
    conv = kind(6, 12, 3, padding=1, groups=groups)
    x = torch.randn(2, 6, 8, 10, requires_grad=True)
    forward = speed.count_flops(lambda: conv(x))
    assert forward == 2 * 2 * 8 * 10 * 6 * 12 * 9 // groups
    loss = conv(x).sum()
    assert speed.count_flops(loss.backward) == 2 * forward


def test_traffic_counts_outputs_once_and_no_allocation():
    a, b = torch.randn(4, 8), torch.randn(8, 16)
    out = torch.empty(4, 16)
    inputs = a.numel() + b.numel()
    assert speed.count_traffic(lambda: torch.mm(a, b, out=out)) == 4 * (inputs + out.numel())
    assert speed.count_traffic(lambda: torch.empty_like(out)) == 0
    assert speed.count_traffic(lambda: out.add_(out)) == 3 * 4 * out.numel()


def test_saved_bytes_count_each_storage_once_and_no_parameters():
    linear = nn.Linear(8, 16)
    x = torch.randn(5, 8, requires_grad=True)

    def forward():
        y = linear(x).exp()  # keeps x, and its own output
        return (y * y[:, :4].sum()).sum()  # keeps y again, as itself and as the sum's factor

    kept = speed.count_saved_bytes(forward, linear.parameters())
    assert kept == 4 * (x.numel() + 5 * 16 + 1)


def test_machine(monkeypatch):
    monkeypatch.setattr(speed, 'PRODUCT', (512, 512, 512))
    monkeypatch.setattr(speed, 'COPY_BYTES', 2**22)
    machine = speed.measure_machine(CPU, torch.float32)
    assert machine.flops > 1e8
    assert machine.bandwidth > 1e7
