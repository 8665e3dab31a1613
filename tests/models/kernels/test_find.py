"""Which implementation of an operator is found, and why none in Triton."""

import sysconfig

import pytest
import torch

from mmcednet.models import kernels


def test_tensor_subclasses_compute_in_their_own_way():
    class Scaled(torch.Tensor):
        """As a quantised weight, it is not what it seems."""

    weight = torch.randn(2).as_subclass(Scaled)
    assert kernels.find('mlp', torch.randn(2), weight) is None
    assert kernels.find('mlp', torch.randn(2), torch.randn(2), None) is kernels.cpu.mlp


@pytest.mark.parametrize('switch', ['0', '1'])
def test_operators_in_triton_must_be_turned_on(monkeypatch, switch):
    monkeypatch.setenv('MMCEDNET_TRITON', switch)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    reason = {'0': 'MMCEDNET_TRITON is not 1', '1': 'there is no GPU'}[switch]
    assert kernels.explain_without_triton.__wrapped__() == reason


def test_triton_needs_a_compiler(monkeypatch, tmp_path):
    monkeypatch.setattr(sysconfig, 'get_paths', lambda scheme: {'include': str(tmp_path)})
    (tmp_path / 'Python.h').touch()
    monkeypatch.delenv('CC', raising=False)
    for name in ('gcc', 'clang'):
        (tmp_path / name).touch(mode=0o755)
        monkeypatch.setenv('PATH', str(tmp_path))
        assert kernels.explain_without_compiler() == ''
        (tmp_path / name).unlink()
    assert (
        kernels.explain_without_compiler() == 'there is no C compiler, gcc or clang, which Triton needs'
    )
    monkeypatch.setenv('CC', 'icx')
    (tmp_path / 'Python.h').unlink()
    assert f'there is no {tmp_path}/Python.h, which Triton needs' in kernels.explain_without_compiler()
