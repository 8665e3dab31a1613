"""Reversible columns: the equations, and the backward pass against torch's own."""

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmcednet.baselines import RevCol
from mmcednet.baselines.reversible import MIN_SCALE, Level, compute_columns
from mmcednet.models import use_kernels

COLUMNS = 5


def build_network(columns: int = COLUMNS, dtype: torch.dtype = torch.double, **settings) -> RevCol:
    """A small RevCol with random weights of ordinary size in all places."""
    torch.manual_seed(0)
    settings = dict(dict(channels=(8, 12, 16, 20), blocks=(1, 2, 1, 1)), **settings)
    model = RevCol(num_columns=columns, **settings)
    for name, param in model.named_parameters():
        if name.endswith('mlp.gamma') or name.endswith('bias'):
            nn.init.normal_(param, std=0.3)
        elif name.endswith('gamma'):
            nn.init.uniform_(param, 0.3, 1.2)
        elif param.ndim > 1:
            nn.init.normal_(param, std=param[0].numel() ** -0.5)
    return model.to(dtype)


def compute_gradients(model, x, levels=range(4), seed=0):
    """Features, and the gradients of a weighted sum of them: of x and of all parameters."""
    x = x.clone().requires_grad_()
    torch.manual_seed(seed)
    features = model(x)
    for i in levels:
        weights = torch.linspace(0, 2, features[i].numel()).cos().view_as(features[i])
        (features[i] * weights).sum().backward(retain_graph=True)
    grads = {'x': x.grad} | {name: param.grad for name, param in model.named_parameters()}
    model.zero_grad()
    return features, grads


def compute_both(model, x, **kwargs):
    """Features and gradients of the reversible and of the ordinary backward pass."""
    model.reversible = True
    found = compute_gradients(model, x, **kwargs)
    model.reversible = False
    return found, compute_gradients(model, x, **kwargs)


def measure_error(found, expected) -> float:
    """Norm of the difference of all gradients, relative to that of the gradients."""
    pairs = [(found[name], expected[name]) for name in expected]
    difference = sum((a - b).double().square().sum() for a, b in pairs)
    return (difference / sum(b.double().square().sum() for _, b in pairs)).sqrt().item()


class Product(Level):
    """f = weight * below + above^2, which a test can write down."""

    def __init__(self, weight: float, shortcut: float | None):
        super().__init__(1, shortcut)
        self.weight = weight

    def forward(self, below, above):
        return self.weight * below + (0 if above is None else above**2)


def test_equations():
    """c_l = f_l(c_{l-1}, p_{l+1}) + gamma_l p_l, of two levels and three columns."""
    columns = [
        [Product(2.0, None), Product(3.0, None)],
        [Product(0.5, 0.25), Product(-1.0, -2.0)],
        [Product(1.0, 4.0), Product(2.0, 0.5)],
    ]
    a0 = 2.0 * 7.0
    a1 = 3.0 * a0
    b0 = 0.5 * 7.0 + a1**2 + 0.25 * a0
    b1 = -1.0 * b0 - 2.0 * a1
    c0 = 1.0 * 7.0 + b1**2 + 4.0 * b0
    c1 = 2.0 * c0 + 0.5 * b1
    found = compute_columns(columns, torch.full((1, 1, 2, 2), 7.0))
    for feature, expected in zip(found, (c0, c1), strict=True):
        assert torch.equal(feature, torch.full((1, 1, 2, 2), expected))


def test_scale_is_never_near_zero():
    level = Level(6, 0.5)
    with torch.no_grad():
        level.gamma.copy_(torch.tensor([0.5, -0.5, 1e-4, -1e-4, 0.0, 2e-3]))
    scale = level.compute_scale()
    expected = torch.tensor([0.5, -0.5, MIN_SCALE, -MIN_SCALE, MIN_SCALE, 2e-3])
    torch.testing.assert_close(scale, expected[:, None, None])
    (scale.flatten() * torch.arange(6)).sum().backward()
    assert torch.equal(level.gamma.grad, torch.arange(6.0))


@pytest.mark.parametrize('keep_every', [1, 2, 3, COLUMNS, 100])
def test_gradients_equal_the_ordinary_backward_pass(keep_every):
    model = build_network(keep_every=keep_every)
    model.columns[2][1].gamma.data[:3] = torch.tensor([1e-4, -0.7, -2e-4])
    found, expected = compute_both(model, torch.randn(2, 3, 67, 101, dtype=torch.double))
    for feature, theirs in zip(found[0], expected[0], strict=True):
        torch.testing.assert_close(feature, theirs, rtol=1e-12, atol=1e-12)
    for name, theirs in expected[1].items():
        assert theirs.abs().max() > 0, name
        # undoing a column divides by its smallest scale
        tolerance = 1e-12 if keep_every == 1 else 1e-8
        bound = tolerance * theirs.abs().max().item()
        torch.testing.assert_close(found[1][name], theirs, rtol=0, atol=bound, msg=name)


@pytest.mark.parametrize('keep_every', [1, COLUMNS])
def test_stochastic_depth_drops_the_same_samples(keep_every):
    model = build_network(keep_every=keep_every, drop_path_rate=0.6).train()
    x = torch.randn(4, 3, 32, 32, dtype=torch.double)
    found, expected = compute_both(model, x)
    assert measure_error(found[1], expected[1]) < 1e-10
    assert measure_error(found[1], compute_gradients(model, x, seed=1)[1]) > 0.1


def test_backward_pass_draws_no_random_numbers_of_its_own():
    model = build_network(drop_path_rate=0.5).train()
    torch.manual_seed(3)
    features = model(torch.randn(2, 3, 32, 32, dtype=torch.double))
    state = torch.get_rng_state()
    features[0].sum().backward()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize('keep_every', [1, 2])
def test_gradients_of_a_part_of_the_network(keep_every):
    """Some levels without a gradient, and frozen parameters."""
    model = build_network(keep_every=keep_every)
    model.stem.requires_grad_(False)
    model.columns[1][2].requires_grad_(False)
    model.columns[3][0].gamma.requires_grad_(False)
    x = torch.randn(1, 3, 64, 64, dtype=torch.double)
    found, expected = compute_both(model, x, levels=[1, 2])
    for name, theirs in expected[1].items():
        if theirs is None:
            assert found[1][name] is None or not found[1][name].any(), name
        else:
            torch.testing.assert_close(found[1][name], theirs, rtol=1e-9, atol=1e-9, msg=name)
    assert not model.columns[1][2].gamma.requires_grad
    assert found[1]['columns.1.2.gamma'] is None


def test_gradients_arrive_once():
    """Hooks of a parameter see its gradient once, and a second backward pass adds to the first."""
    model = build_network()
    param = model.columns[1][0].blocks[0].mlp.pwconv1.weight
    seen = []
    param.register_hook(lambda grad: seen.append(grad.clone()))
    loss = sum(feature.sum() for feature in model(torch.randn(1, 3, 32, 32, dtype=torch.double)))
    loss.backward(retain_graph=True)
    assert len(seen) == 1
    assert torch.equal(seen[0], param.grad)
    loss.backward()
    torch.testing.assert_close(param.grad, 2 * seen[0])


@pytest.mark.parametrize('keep_every', [1, 2])
def test_autocast(keep_every):
    """The backward pass outside of autocast computes as the forward pass inside did."""
    model = build_network(dtype=torch.float32, keep_every=keep_every, drop_path_rate=0.3).train()
    x = torch.randn(2, 3, 64, 64)
    results = []
    for reversible in (True, False):
        model.reversible = reversible
        torch.manual_seed(0)
        with torch.autocast('cpu', torch.bfloat16):
            features = model(x)
        assert {feature.dtype for feature in features} == {torch.float32}
        sum(feature.square().mean() for feature in features).backward()
        results.append({name: param.grad for name, param in model.named_parameters()})
        model.zero_grad()
    assert measure_error(*results) < (5e-3 if keep_every == 1 else 3e-2)
    exact = compute_gradients(model.eval(), x)[1]
    assert all(grad.dtype == exact[name].dtype for name, grad in results[0].items())


def test_backward_pass_within_autocast():
    """Weights that the reversible forward pass casts, without history, are not used by others."""
    model = build_network(dtype=torch.float32)
    x = torch.randn(1, 3, 32, 32)
    with torch.autocast('cpu', torch.bfloat16):
        features = model(x)
        model.reversible = False
        sum(feature.sum() for feature in (*features, *model(x))).backward()
    assert all(param.grad is not None and param.grad.any() for param in model.parameters())


def test_distributed_data_parallel(tmp_path):
    """Every parameter is ready once per step, without find_unused_parameters."""
    dist.init_process_group(
        'gloo', store=dist.FileStore(str(tmp_path / 'store'), 1), rank=0, world_size=1
    )
    try:
        model = build_network(keep_every=2)
        x = torch.randn(1, 3, 32, 32, dtype=torch.double)
        _, expected = compute_gradients(model, x)
        parallel = DistributedDataParallel(model)
        for _ in range(2):  # the second step fails if a parameter was not ready in the first
            _, found = compute_gradients(parallel, x)
            assert (
                measure_error({name.removeprefix('module.'): g for name, g in found.items()}, expected)
                < 1e-12
            )
    finally:
        dist.destroy_process_group()


def count_saved_bytes(model, x) -> int:
    """Bytes that the forward pass keeps for the backward pass, without the parameters."""
    params = {param.data_ptr() for param in model.parameters()}
    kept = {}  # with the storages, so that their addresses are not used again

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in params:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        features = model(x)
    assert features[0].requires_grad
    return sum(storage.nbytes() for storage in kept.values())


def test_memory():
    """Twice the columns need twice the memory, or no more if only the last one's features are kept."""
    x = torch.randn(1, 3, 128, 128)
    saved = {}
    for columns in (4, 8):
        model = build_network(columns, torch.float32, drop_path_rate=0.2).train()
        model.reversible = False
        use_kernels(model, False)
        saved[columns, 'ordinary'] = count_saved_bytes(model, x)
        model.reversible = True
        for keep_every in (1, columns):
            model.keep_every = keep_every
            saved[columns, 'one' if keep_every == 1 else 'all'] = count_saved_bytes(model, x)
        per_column = sum(feature.nbytes for feature in model(x))
    assert saved[8, 'ordinary'] > 1.9 * saved[4, 'ordinary']
    assert saved[8, 'all'] == saved[4, 'all'] < 0.1 * saved[4, 'ordinary']
    assert saved[8, 'one'] - saved[4, 'one'] == 4 * per_column
    assert saved[8, 'one'] < 0.15 * saved[8, 'ordinary']


def test_rounding_errors():
    """In float32, those of keep_every=1 are the ordinary ones; those of more columns grow."""
    torch.manual_seed(0)
    model = RevCol((16, 24, 32, 48), (1, 1, 3, 2), num_columns=16)
    x = torch.randn(1, 3, 64, 64)
    errors = []
    for keep_every in (1, 2, 4, 16):
        model.keep_every = keep_every
        found, expected = compute_both(model, x)
        errors.append(measure_error(found[1], expected[1]))
    assert errors == sorted(errors)
    assert errors[0] < 1e-6
    assert errors[1] < 1e-5
    assert errors[3] > 0.1


def test_second_derivatives_are_refused():
    model = build_network()
    x = torch.randn(1, 3, 32, 32, dtype=torch.double, requires_grad=True)
    with pytest.raises(RuntimeError, match=r'no second derivatives .* build it with reversible=False'):
        torch.autograd.grad(model(x)[3].sum(), x, create_graph=True)


def test_without_gradients():
    model = build_network().eval()
    x = torch.randn(1, 3, 32, 32, dtype=torch.double)
    with torch.no_grad():
        features = model(x)
    for feature, with_gradients in zip(features, model(x), strict=True):
        assert not feature.requires_grad
        torch.testing.assert_close(feature, with_gradients.detach(), rtol=1e-12, atol=1e-12)
    model.requires_grad_(False)
    assert not any(feature.requires_grad for feature in model(x))
