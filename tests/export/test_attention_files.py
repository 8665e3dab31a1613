"""The attention mixers in onnxruntime, for feature maps of other sizes than the traced one."""

import copy

import numpy as np
import pytest
import torch

pytest.importorskip('onnxscript')  # of the extra onnx
import onnxruntime

from mmcednet.models.mixers import CrossWindowAttention, WindowAttention

MIXERS = {
    'window': lambda: WindowAttention(32, shifted=True),
    'stripes': lambda: CrossWindowAttention(16, num_heads=4, stripe=2),
    'global': lambda: CrossWindowAttention(16, num_heads=4, stripe=None),
}
SIZES = [(2, 14, 21), (1, 9, 8), (3, 5, 12), (1, 1, 2)]


@pytest.mark.slow
@pytest.mark.parametrize('name', MIXERS)
def test_equals_torch(name, tmp_path):
    mixer = MIXERS[name]().eval()
    channels = mixer.proj.in_features
    axes = {0: 'batch', 1: 'height', 2: 'width'}
    with torch.no_grad():
        exported = torch.export.export(
            mixer,
            (torch.randn(2, 30, 44, channels),),
            dynamic_shapes=(dict.fromkeys(axes, torch.export.Dim.DYNAMIC),),
            prefer_deferred_runtime_asserts_over_guards=True,
        )
        program = torch.onnx.export(exported, dynamo=True, dynamic_shapes=(axes,), verbose=False)
    program.save(tmp_path / 'mixer.onnx')
    session = onnxruntime.InferenceSession(tmp_path / 'mixer.onnx')
    exact = copy.deepcopy(mixer).double()
    for size in SIZES:
        x = torch.randn(*size, channels)
        with torch.no_grad():
            expected = exact(x.double())
            lost = (mixer(x) - expected).abs().max().item()  # by torch in float32
        assert lost < 1e-5
        (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        np.testing.assert_allclose(found, expected, rtol=0, atol=10 * lost)
