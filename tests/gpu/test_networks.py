"""Whole networks on a GPU against the CPU in float64; graphs, compiled blocks, memory."""

import copy

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from mmcednet.baselines import RevCol
from mmcednet.models import CEDNet, apply_recompute, compile_blocks, kernels, use_kernels
from mmcednet.models.cuda_graphs import CUDAGraphs
from mmcednet.models.layers import DropPath

STYLES = ('hourglass', 'unet', 'fpn')
MIXERS = ('dwconv', 'conv', 'window', 'cross_window')
# of outputs, and of all gradients, by their norms; ReLU and BatchNorm magnify the rounding of gradients
TOLERANCES = {torch.float32: (1e-4, 1e-3), torch.bfloat16: (0.1, 0.5)}


def build(style='fpn', mixer='dwconv', **settings):
    channels = (32, 64, 96, 160) if mixer == 'cross_window' else (32, 64, 96, 128)
    arch = dict(channels=channels, blocks=(1, 1, 2, 1), num_stages=1)
    # BatchNorm of a few values would magnify the rounding
    pyramid = dict(levels=(3, 4, 5) if mixer == 'conv' else (3, 4, 5, 6, 7), channels=32)
    return CEDNet(arch, style, mixer, layer_scale=0.5, drop_path_rate=0.2, pyramid=pyramid, **settings)


def make_images(device, batch=2):
    return torch.randn(batch, 3, *((160, 192) if device.type == 'cuda' else (64, 96)))


def compute(network, images, dtype=None):
    """Outputs, and gradients of all parameters, without stochastic depth, as float64 on the CPU."""
    for module in network.modules():
        if isinstance(module, DropPath):
            module.set_rate(0.0)
    network.zero_grad()
    with torch.autocast(images.device.type, dtype, enabled=dtype is not None):
        outs = network(images)
    # not of squares, whose mean is the same after any LayerNorm
    sum(out.double().sin().mean() for out in outs).backward()
    grads = torch.cat([parameter.grad.flatten() for parameter in network.parameters()])
    return [out.detach().double().cpu() for out in outs], grads.double().cpu()


@pytest.mark.parametrize('style', STYLES)
@pytest.mark.parametrize('mixer', MIXERS)
def test_outputs_and_gradients(device, style, mixer):
    network, images = build(style, mixer), make_images(device)
    reference = copy.deepcopy(network).double()
    use_kernels(reference, False)
    expected, expected_grads = compute(reference, images.double())
    network, images = network.to(device), images.to(device)
    for dtype, (tolerance, of_grads) in TOLERANCES.items():
        own = copy.deepcopy(network)
        outs, grads = compute(own, images, None if dtype == torch.float32 else dtype)
        for out, other in zip(outs, expected, strict=True):
            assert (out - other).norm() < tolerance * other.norm()
        assert (grads - expected_grads).norm() < of_grads * expected_grads.norm()


def test_stochastic_depth_is_the_same_with_recomputing(device):
    network, images = build().to(device).train(), make_images(device).to(device)
    results = []
    for policy in ('none', 'cheap', 'full'):
        apply_recompute(network, policy)
        network.zero_grad()
        torch.manual_seed(0)
        sum(out.sin().mean() for out in network(images)).backward()
        results.append(torch.cat([parameter.grad.flatten() for parameter in network.parameters()]))
        torch.testing.assert_close(results[-1], results[0], rtol=1e-3, atol=1e-6)


def test_float16_with_a_scaler(device):
    """Layer scale starts at 1e-6: its gradients, and those behind it, are finite and not all zero."""
    if device.type == 'cpu':
        pytest.skip('no float16')
    network, images = CEDNet('tiny', pyramid={}).to(device), make_images(device)
    scaler, before = torch.amp.GradScaler(device.type), copy.deepcopy(network.state_dict())
    # whose decay would change the weights without gradients
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4, weight_decay=0)
    for _ in range(3):
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.float16):
            loss = sum(out.float().sin().mean() for out in network(images.to(device)))
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    state = network.state_dict()
    assert all(value.isfinite().all() for value in state.values())
    changed = [name for name, value in state.items() if not value.equal(before[name])]
    assert 'stem.blocks.0.mlp.pwconv1.weight' in changed and loss.isfinite()


def test_compiled_blocks(device):
    """They keep the operators, the third size of images compiles nothing, outputs stay the same."""
    network = build().to(device).eval()
    compiled = copy.deepcopy(network)
    backend = CompileCounterWithBackend('inductor' if device.type == 'cuda' else 'aot_eager')
    compile_blocks(compiled, backend)
    counts = []
    for height in (96, 128, 160):
        images = torch.randn(2, 3, height, 128, device=device)
        with torch.no_grad():
            for own, other in zip(compiled(images), network(images), strict=True):
                assert (own - other).norm() < 1e-3 * other.norm()
        counts.append(backend.frame_count)
    assert counts[0] > 0 and counts[1] == counts[2]
    names = {str(node.target) for graph in backend.graphs for node in graph.graph.nodes}
    assert any('mmcednet' in name for name in names) == (kernels.triton is not None)


def test_reversible_columns_in_mixed_precision(device):
    """RevCol computes again what it does not keep: in the same precision."""
    grads = []
    for reversible in (True, False):
        torch.manual_seed(0)
        network = RevCol((16, 32, 48, 64), num_columns=2, reversible=reversible).to(device).train()
        images = torch.randn(2, 3, 64, 64).to(device)
        with torch.autocast(device.type, torch.bfloat16):
            outs = network(images)
        sum(out.float().sin().mean() for out in outs).backward()
        grads.append(torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]))
    assert grads[0].isfinite().all()
    assert (grads[0] - grads[1]).norm() < 0.1 * grads[1].norm()


@torch.no_grad()
def test_graphs(gpu):
    """The same outputs, in copies; sizes that are dropped are recorded again."""
    network = build().to(gpu).eval()
    graphs = CUDAGraphs(network, limit=2)
    seen = []
    for height in (64, 64, 96, 96, 64, 128, 128, 96, 96):
        images = torch.randn(1, 3, height, 96, device=gpu)
        with torch.autocast('cuda', torch.bfloat16):
            expected, ours = network(images), graphs(images)
        for own, other in zip(ours, expected, strict=True):
            torch.testing.assert_close(own, other)
        seen.append((ours[0], ours[0].clone()))
        assert graphs.can_record and len(graphs.graphs) <= 2
    assert all(out.equal(copied) for out, copied in seen)


@torch.no_grad()
def test_memory_of_graphs_is_bounded(gpu):
    network = build().to(gpu).eval()
    graphs, reserved = CUDAGraphs(network, limit=2), []
    for round_ in range(3):
        for height in (256, 256, 320, 320, 384, 384):
            graphs(torch.randn(1, 3, height, 512, device=gpu))
        torch.cuda.empty_cache()
        reserved.append(torch.cuda.memory_reserved(gpu))
        assert round_ == 0 or reserved[-1] <= 1.2 * reserved[0]


@torch.no_grad()
def test_what_waits_for_the_gpu_is_not_recorded(gpu, log):
    def compute(x):
        return x / x.max().item()

    graphs, x = CUDAGraphs(compute), torch.rand(4, device=gpu)
    for _ in range(3):
        torch.testing.assert_close(graphs(x), compute(x))
    assert not graphs.can_record and len(log.records) == 1
    assert torch.cuda.current_stream(gpu) == torch.cuda.default_stream(gpu)
    assert torch.cuda.get_sync_debug_mode() == 0
    network = build().to(gpu).eval()
    images = torch.randn(1, 3, 64, 64, device=gpu)  # random numbers are drawn as before
    others = CUDAGraphs(network)
    for _ in range(2):
        torch.testing.assert_close(others(images), network(images))
    assert others.can_record and others.graphs


@pytest.mark.parametrize(
    ('policy', 'operators', 'mib'), [('none', True, 600), ('none', False, 1000), ('full', True, 300)]
)
def test_peak_memory(gpu, policy, operators, mib):
    """Of a training step of CEDNet-T with one image of 512x512, gradients not counted, bfloat16."""
    if operators and kernels.triton is None:
        pytest.skip('no operators in Triton')
    network = CEDNet('tiny', pyramid=dict(levels=(3, 4, 5, 6, 7)), recompute=policy).to(gpu)
    use_kernels(network, operators)
    images = torch.randn(1, 3, 512, 512, device=gpu)

    def step():
        with torch.autocast('cuda', torch.bfloat16):
            loss = sum(out.float().mean() for out in network(images))
        loss.backward()

    step()
    torch.cuda.reset_peak_memory_stats(gpu)
    before = torch.cuda.memory_allocated(gpu)
    step()
    assert torch.cuda.max_memory_allocated(gpu) - before < mib * 2**20
