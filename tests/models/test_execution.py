"""What a built network recomputes, and which operators it uses: outputs and gradients stay the same."""

import collections
import copy
import pickle

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from mmcednet.models import CEDNet, apply_recompute, kernels, use_kernels
from mmcednet.models.blocks import Blocks
from mmcednet.models.execution import Switchable, describe_kernels
from mmcednet.models.layers import MLP, DepthwiseConv2d, NormAct2d

POLICIES = ['none', 'cheap', 'full']


def switch(module, recompute='cheap', enabled=True):
    apply_recompute(module, recompute)
    use_kernels(module, enabled)
    return module


def build_mlp(recompute='cheap', enabled=True):
    torch.manual_seed(0)
    return switch(MLP(6, layer_scale=0.7).double(), recompute, enabled)


def list_switches(network):
    """The switches of each module; plain layers have none, or all are off."""
    names = ('recomputes', 'uses_kernels')
    return [[getattr(module, name, False) for name in names] for module in network.modules()]


def make_images():
    return torch.randn(2, 3, 4, 6, dtype=torch.float64, requires_grad=True)


def compute_mlp(mlp, images):
    return mlp.gamma * mlp.pwconv2(mlp.act(mlp.pwconv1(images)))


def count_kernels(monkeypatch):
    """Count the calls of operators."""
    calls = collections.Counter()
    for name in ('mlp', 'depthwise_conv'):
        function = getattr(kernels.cpu, name)

        def call(*args, name=name, function=function):
            calls[name] += 1
            return function(*args)

        monkeypatch.setattr(kernels.cpu, name, call)
    return calls


def test_operators_are_used(monkeypatch, small):
    calls = count_kernels(monkeypatch)
    network, images = CEDNet(small), torch.randn(1, 3, 64, 64)
    network(images)
    convolutions = sum(isinstance(module, DepthwiseConv2d) for module in network.modules())
    mlps = sum(isinstance(module, MLP) for module in network.modules())
    assert calls == {'mlp': mlps, 'depthwise_conv': convolutions}


def trace(network, images):
    torch.jit.trace(network, images, check_trace=False)


def test_a_graph_is_the_same_each_time(small):
    """torch.jit traces twice, and compares; outside of no_grad, with all blocks recomputed."""
    network, images = CEDNet(small, recompute='full'), torch.randn(1, 3, 64, 64)
    traced = torch.jit.trace(network, images)
    for ours, theirs in zip(traced(images), network(images)):
        torch.testing.assert_close(ours, theirs)


def compile_network(network, images):
    torch.compile(network, backend='eager')(images)


def export(network, images):
    torch.export.export(network, (images,))


def train_in_mixed_precision(network, images):
    with torch.enable_grad(), torch.autocast('cpu', torch.bfloat16):
        network(images)


def differentiate_per_sample(network, images):
    apply_recompute(network, 'cheap')
    params = {name: param.detach() for name, param in network.named_parameters()}

    def compute_loss(params, image):
        outs = torch.func.functional_call(network, params, (image[None],))
        return sum(out.square().mean() for out in outs)

    torch.func.vmap(torch.func.grad(compute_loss), (None, 0))(params, images)


def hook_everything(network, images):
    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        network(images)
    finally:
        handle.remove()


def switch_off(network, images):
    use_kernels(network, False)
    network(images)


WITHOUT_OPERATORS = [trace, compile_network, export, differentiate_per_sample, switch_off]
WITHOUT_OPERATORS += [train_in_mixed_precision]


def test_nothing_is_recomputed_unless_allowed(monkeypatch, small):
    calls = count_kernels(monkeypatch)
    network = CEDNet(small, recompute='none')
    network(torch.randn(1, 3, 64, 64))
    assert set(calls) == {'depthwise_conv'}
    with torch.no_grad():
        network(torch.randn(1, 3, 64, 64))
    assert calls['mlp'] > 0


@pytest.mark.parametrize('use', WITHOUT_OPERATORS)
def test_operators_step_aside(monkeypatch, small, use):
    calls = count_kernels(monkeypatch)
    network = CEDNet(dict(small, blocks=(1, 1, 1, 1), num_stages=1), recompute='none').eval()
    with torch.no_grad():
        use(network, torch.randn(1, 3, 64, 64))
    assert not calls
    use_kernels(network)
    network(torch.randn(1, 3, 64, 64))
    assert calls


def test_an_mlp_with_global_hooks_calls_its_layers(monkeypatch, small):
    calls = count_kernels(monkeypatch)
    hook_everything(CEDNet(small), torch.randn(1, 3, 64, 64))
    assert set(calls) == {'depthwise_conv'}


def test_gradients_per_sample():
    """torch.func's transforms reach the layers."""
    shapes = {switch(DepthwiseConv2d(5)): (3, 5, 4, 6), switch(MLP(6, 0.5)): (3, 4, 5, 6)}
    for layer, shape in shapes.items():
        images = torch.randn(shape)
        params = {name: param.detach() for name, param in layer.named_parameters()}

        def compute_loss(params, image, layer=layer):
            return torch.func.functional_call(layer, params, (image[None],)).square().sum()

        ours = torch.func.vmap(torch.func.grad(compute_loss), (None, 0))(params, images)
        for index, image in enumerate(images):
            layer.zero_grad()
            layer(image[None]).square().sum().backward()
            for name, param in layer.named_parameters():
                torch.testing.assert_close(ours[name][index], param.grad, rtol=1e-4, atol=1e-4)


def test_the_log_names_the_operators(small):
    network = CEDNet(small)
    assert describe_kernels(network) == 'for a CPU'
    assert describe_kernels(network.to('meta')) == 'plain torch, as there are none for meta'
    assert describe_kernels(CEDNet(small, kernels=False)) == ''


class ScaledLinear(nn.Linear):
    """As an adapter, it computes something else from its weights."""

    def forward(self, x):
        return 2 * super().forward(x)


SWITCHES = [('none', True), ('cheap', True), ('cheap', False)]


@pytest.mark.parametrize(('recompute', 'enabled'), SWITCHES)
def test_replaced_layers_are_called(recompute, enabled):
    mlp, images = build_mlp(recompute, enabled), make_images()
    mlp.pwconv1 = ScaledLinear(6, 24).double()
    expected = compute_mlp(mlp, images)
    torch.testing.assert_close(mlp(images), expected)
    with torch.no_grad():
        torch.testing.assert_close(mlp(images), expected)
    mlp.act = nn.GELU(approximate='tanh')
    torch.testing.assert_close(mlp(images), compute_mlp(mlp, images))


class NoisyLinear(nn.Linear):
    """As an adapter with dropout."""

    def forward(self, x):
        return nn.functional.dropout(super().forward(x))


@pytest.mark.parametrize(('recompute', 'enabled'), SWITCHES)
def test_replaced_layers_are_called_once(recompute, enabled):
    """The backward pass is that of the random numbers that the forward pass has drawn."""
    grads = []
    for mlp in (build_mlp('none', False), build_mlp(recompute, enabled)):
        mlp.pwconv2, calls = NoisyLinear(24, 6).double(), []
        mlp.pwconv2.load_state_dict(build_mlp().pwconv2.state_dict())
        mlp.pwconv2.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        torch.manual_seed(1)
        images = torch.randn(2, 3, 4, 6, dtype=torch.float64)
        mlp(images).square().sum().backward()
        assert calls == [1]
        grads.append([param.grad for param in mlp.parameters()])
    for ours, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_quantised_layers_are_used(small):
    """torch's dynamic quantisation replaces the linear layers."""
    network = CEDNet(small, layer_scale=0.5).eval()
    quantised = torch.ao.quantization.quantize_dynamic(network, {nn.Linear})
    layer = quantised.stem.blocks[0].mlp.pwconv1
    assert type(layer) is not nn.Linear
    calls = []
    with torch.no_grad():
        layer.register_forward_hook(lambda *_: calls.append(1))
        for ours, theirs in zip(quantised(torch.ones(1, 3, 64, 64)), network(torch.ones(1, 3, 64, 64))):
            assert (ours - theirs).norm() < 0.1 * theirs.norm()
    assert calls == [1]


def test_layers_without_bias():
    mlp, images = build_mlp(), make_images()
    mlp.pwconv1.bias = None
    torch.testing.assert_close(mlp(images), compute_mlp(mlp, images))


@pytest.mark.parametrize('layer', ['pwconv1', 'act', 'pwconv2'])
@pytest.mark.parametrize('register', ['register_forward_hook', 'register_forward_pre_hook'])
def test_hooks_are_called(layer, register):
    mlp, calls = build_mlp(), []
    handle = getattr(getattr(mlp, layer), register)(lambda *_: calls.append(layer))
    with torch.no_grad():
        mlp(make_images())
    assert calls == [layer]
    mlp(make_images())
    assert calls == [layer] * 2
    handle.remove()
    mlp(make_images())
    assert calls == [layer] * 2


@pytest.mark.parametrize('mixer', ['dwconv', 'window'])
def test_hooks_see_the_outputs_of_their_modules(small, mixer):
    """Of every module, with and without gradients, what the network in plain torch gives them."""
    torch.manual_seed(0)
    arch = dict(small, channels=(32, 32, 64, 64))
    network = CEDNet(arch, 'hourglass', mixer, layer_scale=0.5, pyramid=dict(channels=8), kernels=False)
    network.double().eval()
    images = torch.randn(2, 3, 64, 75, dtype=torch.float64)
    seen = []
    for policy in POLICIES:
        for enabled in (False, True):
            for grad in (False, True):
                apply_recompute(network, policy)
                use_kernels(network, enabled)
                seen.append(record_outputs(network, images, grad))
    modules = network.named_modules()
    names = {name for name, module in modules if not isinstance(module, nn.ModuleList)}
    for outputs in seen:
        assert set(outputs) == set(seen[0]) == names
        for name, output in outputs.items():
            torch.testing.assert_close(output, seen[0][name], rtol=1e-9, atol=1e-9)


def record_outputs(network, images, grad):
    """What a hook on each module gets, looked at after the forward pass."""
    outputs = {}
    handles = [
        module.register_forward_hook(lambda _, args, out, name=name: outputs.setdefault(name, out))
        for name, module in network.named_modules()
    ]
    with torch.set_grad_enabled(grad):
        network(images)
    for handle in handles:
        handle.remove()
    return outputs


def compute_gradients(network, images):
    network.zero_grad()
    # not squares: their mean after a LayerNorm is constant
    sum(out.sin().sum() for out in network(images)).backward()
    return [param.grad for param in network.parameters()]


@pytest.mark.parametrize('mixer', ['dwconv', 'conv', 'window'])
def test_switches_on_a_built_network(small, mixer):
    """In any order, as if it had been built so; names, copies and pickles stay."""
    arch = dict(small, channels=(32, 32, 64, 64))
    torch.manual_seed(0)
    network = CEDNet(arch, 'unet', mixer, layer_scale=0.5).double().eval()
    images = torch.randn(2, 3, 64, 75, dtype=torch.float64)
    names, expected = list(network.state_dict()), compute_gradients(network, images)
    for policy, enabled in (('full', True), ('none', False), ('cheap', True), ('cheap', False)):
        if enabled:
            apply_recompute(network, policy)
            use_kernels(network, enabled)
        else:
            use_kernels(network, enabled)
            apply_recompute(network, policy)
        built = CEDNet(arch, 'unet', mixer, layer_scale=0.5, recompute=policy, kernels=enabled)
        assert list_switches(network) == list_switches(built)
        for other in (network, copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
            assert list(other.state_dict()) == names
            for ours, theirs in zip(compute_gradients(other, images), expected, strict=True):
                torch.testing.assert_close(ours, theirs)


def test_what_each_policy_recomputes(small):
    network = CEDNet(small, recompute='none', kernels=False)
    assert not any(map(any, list_switches(network)))
    layers = {NormAct2d, MLP}
    for policy, kinds in (('full', {Blocks}), ('cheap', layers), ('none', set())):
        apply_recompute(nn.Sequential(network), policy)
        for module in network.modules():
            if isinstance(module, (Blocks, *layers)):
                assert module.recomputes == isinstance(module, tuple(kinds))
    assert CEDNet(small, with_cp=True).stem.blocks.recomputes


def test_subclasses_stay_as_they_are():
    class OwnMLP(MLP):
        def forward(self, x):
            return 2 * super().forward(x)

    module = switch(nn.Sequential(OwnMLP(6), MLP(6)))
    assert type(module[0]) is OwnMLP
    assert isinstance(module[1], Switchable)


def test_an_unknown_policy_is_refused(small):
    with pytest.raises(ValueError, match="recompute 'some' is unknown; choose one of: none, cheap"):
        apply_recompute(CEDNet(small), 'some')


def test_second_derivatives(small):
    """Of all policies but 'full', which torch's checkpoints have too."""
    for policy in POLICIES:
        torch.manual_seed(0)
        network = CEDNet(dict(small, blocks=(1, 1, 1, 1)), layer_scale=0.5, recompute=policy).double()
        images = torch.randn(1, 3, 32, 40, dtype=torch.float64, requires_grad=True)
        loss = sum(out.sin().sum() for out in network(images))
        (grad,) = torch.autograd.grad(loss, images, create_graph=True)
        grad.square().sum().backward()
        if policy == 'none':
            expected = images.grad
        torch.testing.assert_close(images.grad, expected)


class Counter(TorchDispatchMode):
    """Counts the operators that run."""

    def __init__(self):
        super().__init__()
        self.calls = collections.Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.calls[function.overloadpacket.__name__] += 1
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ('module', 'again'),
    [(MLP(8, 0.5), dict(gelu=1)), (NormAct2d(8), dict(native_layer_norm=1))],
)
def test_recomputing_repeats_no_matrix_product(module, again):
    x = torch.randn(2, 8, 8, 8, requires_grad=True)
    calls = []
    for policy in ('none', 'cheap'):
        apply_recompute(module, policy)
        y = module(x)
        with Counter() as counter:
            y.sum().backward()
        calls.append(counter.calls)
    names = ('mm', 'addmm', 'gelu', 'native_layer_norm')
    assert {name: calls[1][name] - calls[0][name] for name in names} == {
        **dict.fromkeys(names, 0),
        **again,
    }


def count_kept(module, x):
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        module(x)
    return sum(kept)


def test_what_cheap_keeps():
    x = torch.randn(2, 8, 8, 8, requires_grad=True)
    norm = NormAct2d(8)
    apply_recompute(norm, 'cheap')
    assert count_kept(norm, x) == x.numel()
    mlp, parameters = MLP(8), 2 * 8 * 32
    whole = count_kept(mlp, x)
    apply_recompute(mlp, 'cheap')
    assert whole - count_kept(mlp, x) == 4 * x.numel() + parameters // 2
