"""Trainings with the operators in Triton, in its interpreter: gradients are those of plain torch.

test_triton.py runs them in a process of its own, as interpreted.py.
"""

import os

import pytest
import torch
import torch.distributed as dist
from torch import multiprocessing
from torch._dynamo import lookup_backend
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.nn.parallel import DistributedDataParallel

from mmcednet.launch.fsdp import wrap_ced_blocks
from mmcednet.models import CEDNet, compile_blocks, use_kernels
from mmcednet.models.execution import describe_kernels

PROCESSES = 2
os.environ.setdefault('GLOO_SOCKET_IFNAME', 'lo')


def build(**settings):
    """A CEDNet with a block and a long-range block, and an image for each process."""
    torch.manual_seed(0)
    arch = dict(channels=(16, 16, 16, 16), blocks=(1, 0, 0, 1))
    pyramid = dict(levels=(3, 4, 5), channels=8)
    network = CEDNet(arch, layer_scale=0.5, pyramid=pyramid, **settings)
    assert describe_kernels(network) == 'Triton (MMCEDNET_TRITON=1)'
    return network, torch.randn(PROCESSES, 3, 32, 32)


def compute_loss(network, images):
    """Not of squares, whose mean is the same after any LayerNorm."""
    return sum(out.sin().mean() for out in network(images))


def get_gradients(network):
    return {name: param.grad.clone() for name, param in network.named_parameters()}


@pytest.fixture(scope='module')
def expected():
    """The gradients in plain torch and float64."""
    network, images = build()
    use_kernels(network, False)
    compute_loss(network.double(), images.double()).backward()
    return get_gradients(network)


def check(gradients, expected, tolerance=1e-4):
    """Each gradient, by its norm."""
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        assert (gradient - expected[name]).norm() <= tolerance * expected[name].norm(), name


def train_in_parallel(rank, folder):
    """Write the gradients of both kinds of parallel training, of one image in each process."""
    store = f'file://{folder}/store'
    dist.init_process_group('gloo', init_method=store, rank=rank, world_size=PROCESSES)
    network, images = build()
    image = images[rank : rank + 1]
    parallel = DistributedDataParallel(network)
    compute_loss(parallel, image).backward()
    torch.save(get_gradients(network), folder / f'ddp{rank}')

    network, _ = build()
    sharded = FullyShardedDataParallel(
        network, auto_wrap_policy=wrap_ced_blocks, use_orig_params=True, device_id=torch.device('cpu')
    )
    compute_loss(sharded, image).backward()
    with FullyShardedDataParallel.summon_full_params(sharded, with_grads=True):
        gradients = get_gradients(network)
    torch.save(
        {name.replace('_fsdp_wrapped_module.', ''): grad for name, grad in gradients.items()},
        folder / f'fsdp{rank}',
    )
    dist.destroy_process_group()


def test_parallel_trainings(tmp_path, expected):
    multiprocessing.spawn(train_in_parallel, (tmp_path,), PROCESSES)
    for kind in ('ddp', 'fsdp'):
        for rank in range(PROCESSES):
            check(torch.load(tmp_path / f'{kind}{rank}', weights_only=True), expected)


def test_float16_with_a_scaler(expected):
    network, images = build()
    optimizer = torch.optim.SGD(network.parameters(), 0.0)
    scaler = torch.amp.GradScaler('cpu', init_scale=1024.0)
    with torch.autocast('cpu', torch.float16):
        loss = compute_loss(network, images)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    assert all(param.grad.dtype == torch.float32 for param in network.parameters())
    check(get_gradients(network), expected, 0.02)


def test_recomputing():
    """With stochastic depth; with_cp is 'full', and with these operators 'none' is as 'cheap'."""
    results = []
    for settings in ({}, dict(with_cp=True)):
        network, images = build(drop_path_rate=0.5, **settings)
        torch.manual_seed(1)
        compute_loss(network, images).backward()
        results.append(get_gradients(network))
    check(*results, 1e-5)


@pytest.mark.parametrize('whole', [True, False])
def test_compiled(whole, expected):
    """The network in one graph, or its blocks, which keep the operators."""
    network, images = build()
    compiled, operators = network, set()

    def compile_graph(graph, inputs):
        operators.update(str(node.target) for node in graph.graph.nodes)
        return lookup_backend('aot_eager')(graph, inputs)

    if whole:
        compiled = torch.compile(network, backend=compile_graph, fullgraph=True)
    else:
        compile_blocks(network, compile_graph)
    compute_loss(compiled, images).backward()
    check(get_gradients(network), expected)
    assert len([name for name in operators if 'mmcednet' in name]) >= 3, operators


@pytest.mark.parametrize('strict', [True, False])
@torch.no_grad()
def test_exported(strict):
    """In plain torch, as other programs have no Triton."""
    network, images = build()
    exported = torch.export.export(network.eval(), (images,), strict=strict)
    assert not any('mmcednet' in str(node.target) for node in exported.graph.nodes)
    for ours, theirs in zip(exported.module()(images), network(images), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
