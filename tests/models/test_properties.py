"""Properties of every pair of style, mixer and outputs."""

import copy
import itertools
import pickle

import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from mmcednet.models import CEDNet
from mmcednet.models.blocks import MIXERS
from mmcednet.models.stage import STYLES

CHANNELS = {
    'dwconv': (8, 12, 16, 20),
    'conv': (8, 12, 16, 20),
    'window': (32, 32, 64, 64),
    'cross_window': (8, 12, 16, 20),
}
OUTPUTS = {
    'raw': dict(),
    'segmentation': dict(aux_stages=True),
    'retinanet': dict(pyramid=dict(levels=(3, 4, 5, 6, 7), channels=12)),
    'two-stage': dict(pyramid=dict(levels=(2, 3, 4, 5, 6), channels=12)),
}
# A third of all combinations: each mixer with each style, each output with each style and each mixer
COMBINATIONS = [
    (style, mixer, output)
    for (i, style), (j, mixer), (k, output) in itertools.product(
        enumerate(STYLES), enumerate(MIXERS), enumerate(OUTPUTS)
    )
    if (i + j + k) % len(STYLES) == 0
]
each_combination = pytest.mark.parametrize(('style', 'mixer', 'outputs'), COMBINATIONS)


def test_every_pair_is_among_the_combinations():
    for a, b in itertools.combinations((STYLES, MIXERS, OUTPUTS), 2):
        pairs = {pair for row in COMBINATIONS for pair in itertools.combinations(row, 2)}
        assert set(itertools.product(a, b)) <= pairs
    assert len(COMBINATIONS) <= 16


def build_model(style: str, mixer: str, outputs: str = 'raw', **settings) -> CEDNet:
    """Two stages, with blocks at every level of every encoder and decoder."""
    settings = dict(layer_scale=0.5) | OUTPUTS[outputs] | settings
    arch = dict(channels=CHANNELS[mixer], blocks=(2, 2, 2, 2), num_stages=2)
    return CEDNet(arch, style, mixer, **settings)


def compute_loss(outs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    # random weights: the gradient of a plain sum over normalised channels is zero
    weights = torch.Generator().manual_seed(1)
    return sum((out * torch.randn(out.shape, generator=weights)).mean() for out in outs)


@each_combination
def test_forward_and_backward_on_odd_sizes(style, mixer, outputs):
    model = build_model(style, mixer, outputs, drop_path_rate=0.1)
    for size in ((32, 64), (75, 101)):
        model.zero_grad()
        outs = model(torch.randn(2, 3, *size))
        assert tuple(out.shape[1] for out in outs) == model.out_channels
        assert all(out.isfinite().all() for out in outs)
        assert all(out.is_contiguous() for out in outs)  # RoIAlign needs it
        compute_loss(outs).backward()
    for name, param in model.named_parameters():
        assert param.grad is not None, name
        assert param.grad.isfinite().all(), name


@each_combination
def test_gradients_equal_float64_in_both_memory_layouts(style, mixer, outputs):
    model = build_model(style, mixer, outputs).eval()  # one value per channel suffices for BatchNorm
    exact = copy.deepcopy(model).double()
    images = torch.randn(2, 3, 75, 101)
    weights = [torch.randn(out.shape) for out in model(images)]
    torch.autograd.backward(exact(images.double()), [weight.double() for weight in weights])
    scale = torch.stack([param.grad.norm() for param in exact.parameters()]).max()
    for memory_format in (torch.contiguous_format, torch.channels_last):
        model.zero_grad()
        torch.autograd.backward(
            model(images), [weight.to(memory_format=memory_format) for weight in weights]
        )
        for (name, ours), theirs in zip(model.named_parameters(), exact.parameters(), strict=True):
            error = (ours.grad - theirs.grad).norm() / (theirs.grad.norm() + 1e-3 * scale)
            assert error < 1e-4, f'{name}: relative error {error:.1e}'


def make_counter(kept: list[int]):
    """A hook that adds up the numbers that are kept for the backward pass."""

    def pack(x: torch.Tensor) -> torch.Tensor:
        kept[-1] += x.numel()
        return x

    return pack


SAVING = {
    'with_cp': (dict(with_cp=True), dict.fromkeys(MIXERS, 0.7)),
    'cheap': ({}, dict(dwconv=0.8, window=0.9, cross_window=0.9, conv=1.0)),
}


@pytest.mark.parametrize('setting', SAVING)
@each_combination
def test_recomputed_activations_give_the_same_gradients(style, mixer, outputs, setting):
    check_recomputing(style, mixer, outputs, setting)


@pytest.mark.parametrize('setting', SAVING)
@pytest.mark.parametrize('mixer', MIXERS)
def test_recomputed_activations_in_bfloat16(mixer, setting):
    check_recomputing('hourglass', mixer, 'raw', setting, autocast=True)


def check_recomputing(style: str, mixer: str, outputs: str, setting: str, autocast: bool = False):
    """Compare gradients, and how much is kept, with those of a network that keeps all activations."""
    images = torch.randn(2, 3, 64, 75)
    settings, shares = SAVING[setting]
    plain = build_model(style, mixer, outputs, drop_path_rate=0.3, recompute='none')
    saving = build_model(style, mixer, outputs, drop_path_rate=0.3, **settings)
    saving.load_state_dict(plain.state_dict())
    kept = []
    for model in (plain, saving):
        torch.manual_seed(1)
        kept.append(0)
        with (
            torch.autocast('cpu', torch.bfloat16, enabled=autocast),
            torch.autograd.graph.saved_tensors_hooks(make_counter(kept), lambda x: x),
        ):
            loss = compute_loss(model(images))
        loss.backward()
    assert kept[1] <= shares[mixer] * kept[0]
    for (name, ours), theirs in zip(saving.named_parameters(), plain.parameters(), strict=True):
        if setting != 'cheap' and not autocast:
            assert torch.equal(ours.grad, theirs.grad), name
            continue
        # sums in another order
        error = (ours.grad - theirs.grad).norm() / (theirs.grad.norm() + 1e-3)
        assert error < (1e-2 if autocast else 1e-4), f'{name}: relative error {error:.1e}'


@each_combination
def test_evaluation_is_deterministic_and_ignores_the_rest_of_the_batch(style, mixer, outputs):
    model = build_model(style, mixer, outputs, drop_path_rate=0.5)
    model(torch.randn(2, 3, 64, 64))  # BatchNorm has seen a batch
    model.eval()
    images = torch.randn(3, 3, 65, 50)
    with torch.no_grad():
        for whole, again in zip(model(images), model(images), strict=True):
            assert torch.equal(whole, again)
        images = images.double()
        model.double()
        for whole, single in zip(model(images), model(images[1:2]), strict=True):
            torch.testing.assert_close(whole[1:2], single)


@each_combination
def test_copies_pickles_and_state_dict(style, mixer, outputs):
    model = build_model(style, mixer, outputs).eval()
    images = torch.randn(1, 3, 50, 64)
    with torch.no_grad():
        expected = model(images)
        other = build_model(style, mixer, outputs).eval()
        other.load_state_dict(model.state_dict())
        for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), other):
            for ours, theirs in zip(twin(images), expected, strict=True):
                assert torch.equal(ours, theirs)


@each_combination
def test_bfloat16_autocast_is_near_float32(style, mixer, outputs):
    # the bound is for the released code's initial weights
    model = build_model(style, mixer, outputs, top_down_init=1.0).eval()
    images = torch.randn(1, 3, 128, 192)
    with torch.no_grad():
        exact = model(images)
        with torch.autocast('cpu', torch.bfloat16):
            rounded = model(images)
    for ours, theirs in zip(rounded, exact, strict=True):
        assert (ours.float() - theirs).norm() / theirs.norm() < 3e-2


@pytest.mark.parametrize('style', STYLES)
@pytest.mark.parametrize('mixer', MIXERS)
def test_distributed_training_finds_no_unused_parameter(tmp_path, style, mixer):
    store = f'file://{tmp_path}/store'
    dist.init_process_group('gloo', init_method=store, rank=0, world_size=1)
    try:
        model = DistributedDataParallel(build_model(style, mixer), find_unused_parameters=False)
        for _ in range(2):  # DDP reports unused parameters in the second forward pass
            compute_loss(model(torch.randn(1, 3, 64, 64))).backward()
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize(
    ('style', 'mixer', 'backend'),
    [
        ('fpn', 'dwconv', 'aot_eager'),
        ('fpn', 'conv', 'aot_eager'),
        pytest.param('fpn', 'window', 'aot_eager', marks=pytest.mark.slow),
        pytest.param('fpn', 'cross_window', 'aot_eager', marks=pytest.mark.slow),
        ('unet', 'dwconv', 'aot_eager'),
        ('hourglass', 'dwconv', 'aot_eager'),
        # aot_eager traces all that inductor traces; one real compilation is enough
        pytest.param('fpn', 'window', 'inductor', marks=pytest.mark.slow),
    ],
)
def test_compiles_in_one_graph(style, mixer, backend):
    arch = dict(channels=CHANNELS[mixer], blocks=(2, 2, 2, 1))  # the second window block shifts
    model = CEDNet(arch, style, mixer, layer_scale=0.5).eval().double()
    images = torch.randn(1, 3, 50, 64, dtype=torch.float64)
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    with torch.no_grad():
        for ours, theirs in zip(compiled(images), model(images), strict=True):
            torch.testing.assert_close(ours, theirs)
