"""Gradients at initialization are of the usual size, whatever constant areas an image has."""

import copy
import itertools

import pytest
import torch
from mmengine.registry import MODELS

from mmcednet.models import CEDNet
from mmcednet.models.blocks import MIXERS
from mmcednet.models.stage import STYLES

CHANNELS = {
    'dwconv': (16, 24, 32, 48),
    'conv': (16, 24, 32, 48),
    'window': (32, 32, 64, 64),
    'cross_window': (16, 24, 32, 40),
}
each_network = pytest.mark.parametrize(
    ('style', 'mixer', 'layer_scale'),
    [*itertools.product(STYLES, MIXERS, (1.0,)), ('fpn', 'dwconv', 1e-6)],
)


def build_model(style: str, mixer: str, layer_scale: float = 1.0) -> CEDNet:
    """Three stages; the deeper a network, the larger its gradients grow."""
    arch = dict(channels=CHANNELS[mixer], blocks=(1, 1, 2, 1), num_stages=3)
    # BatchNorm has too few values for its statistics at the coarser levels of small images
    levels = (3, 4, 5) if mixer == 'conv' else (3, 4, 5, 6, 7)
    pyramid = dict(levels=levels, channels=16)
    return CEDNet(arch, style, mixer, layer_scale=layer_scale, pyramid=pyramid)


def make_images() -> dict[str, torch.Tensor]:
    """Two normalised images (3, 128, 160) of each kind."""
    random = torch.randn(2, 3, 128, 160)
    padded, half = random.clone(), random.clone()
    padded[:, :, 80:] = padded[:, :, :, 100:] = 0
    half[:, :, :, 80:] = 0.7
    black, white = torch.tensor([[-2.1, -2.0, -1.8], [2.2, 2.4, 2.6]])[:, None, :, None, None]
    return dict(
        random=random,
        padded=padded,
        half=half,
        zero=torch.zeros_like(random),
        black=black.expand_as(random),
        white=white.expand_as(random),
    )


def compute_gradient_norm(model: CEDNet, images: torch.Tensor) -> torch.Tensor:
    """Norm of the gradient of all parameters, for random gradients of the outputs."""
    model.zero_grad()
    outs = model(images)
    weights = torch.Generator().manual_seed(1)
    sum((out * torch.randn(out.shape, generator=weights)).mean() for out in outs).backward()
    return torch.stack([param.grad.norm() for param in model.parameters()]).norm()


@each_network
def test_gradients_of_images_with_constant_areas(style, mixer, layer_scale):
    model = build_model(style, mixer, layer_scale)
    images = make_images()
    usual = compute_gradient_norm(model, images.pop('random'))
    for name, image in images.items():
        norm = compute_gradient_norm(model, image)
        assert norm.isfinite(), name
        assert norm < 10 * usual, f'{name}: {norm:.1e}, {usual:.1e} without constant areas'


@pytest.mark.parametrize('style', STYLES)
@pytest.mark.parametrize('mixer', [mixer for mixer in MIXERS if mixer != 'conv'])
def test_gradients_of_padded_images_equal_float64(style, mixer):
    model = build_model(style, mixer)
    exact = copy.deepcopy(model).double()
    image = make_images()['padded'][:, :, :99, :125]  # odd sizes
    weights = [torch.randn(out.shape) for out in model(image)]
    torch.autograd.backward(model(image), weights)
    torch.autograd.backward(exact(image.double()), [weight.double() for weight in weights])
    scale = torch.stack([param.grad.norm() for param in exact.parameters()]).max()
    for (name, ours), theirs in zip(model.named_parameters(), exact.parameters(), strict=True):
        error = (ours.grad - theirs.grad).norm() / (theirs.grad.norm() + 1e-3 * scale)
        assert error < 1e-4, f'{name}: relative error {error:.1e}'


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('mixer', MIXERS)
def test_gradients_in_mixed_precision(mixer, dtype):
    """In float16 the loss is scaled, as mmengine's AmpOptimWrapper does, so that none is lost."""
    if dtype == torch.float16 and not hasattr(torch.amp, 'GradScaler'):
        pytest.skip('torch 2.1 has no float16 on the CPU')
    model = build_model('fpn', mixer)
    images = make_images()
    for name in ('padded', 'half', 'zero'):
        model.zero_grad()
        with torch.autocast('cpu', dtype):
            outs = model(images[name])
            loss = sum((out.float() ** 2).mean() for out in outs)
        (loss * 64).backward()
        for key, param in model.named_parameters():
            assert param.grad.isfinite().all(), (name, key)


@pytest.mark.slow
@each_network
def test_ten_steps_lower_the_loss_without_clipping(style, mixer, layer_scale):
    images = make_images()
    for name in ('half', 'zero', 'white'):
        image = images[name]
        torch.manual_seed(0)
        model = build_model(style, mixer, layer_scale)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
        targets = [torch.randn(out.shape) for out in model(image)]
        losses = []
        for _ in range(11):
            loss = sum(((out - target) ** 2).mean() for out, target in zip(model(image), targets))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < losses[0], (name, losses)


def test_the_bias_comes_after_loading_and_is_only_an_initial_value(tmp_path):
    """A loaded checkpoint replaces it, and BatchNorm networks have none."""
    source = build_model('fpn', 'dwconv')
    torch.nn.init.zeros_(source.stem.conv1.bias)
    torch.save(dict(state_dict=source.state_dict()), tmp_path / 'zeros.pth')
    model = MODELS.build(
        dict(
            type='CEDNet',
            arch=dict(channels=CHANNELS['dwconv'], blocks=(1, 1, 2, 1), num_stages=3),
            pyramid=dict(channels=16),
            init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'zeros.pth')),
        )
    )
    assert model.stem.conv1.bias.abs().max() > 0
    model.init_weights()
    assert (model.stem.conv1.bias == 0).all()
    assert (build_model('fpn', 'conv').stem.conv1.bias == 0).all()


@pytest.mark.parametrize('style', ['fpn', 'unet', 'hourglass'])
def test_scale_of_the_top_down_convolutions(small, style):
    weights = {}
    for scale in (1.0, 0.1):
        torch.manual_seed(0)
        weights[scale] = CEDNet(small, style=style, top_down_init=scale).state_dict()
    assert weights[0.1].keys() == weights[1.0].keys()
    for name, weight in weights[1.0].items():
        top_down = name.endswith(('reduce4.weight', 'reduce5.weight'))
        torch.testing.assert_close(weights[0.1][name], 0.1 * weight if top_down else weight)


def test_fine_features_pass_the_stages():
    """Noise at stride 8 reaches the last stage's finest level, where the released weights drown it."""
    arch = dict(channels=(24, 48, 72, 96), blocks=(1, 1, 2, 1), num_stages=4)
    images = torch.randn(2, 3, 128, 128)
    changed = images + 0.3 * torch.randn(2, 3, 128, 128)
    effects = {}
    for scale in (1.0, 0.1):
        torch.manual_seed(0)
        model = CEDNet(arch, top_down_init=scale, layer_scale=1.0, out_levels=(3,)).eval()
        with torch.no_grad():
            (before,), (after,) = model(images), model(changed)
        effects[scale] = ((after - before).std() / before.std()).item()
    assert effects[0.1] > 1.2 * effects[1.0], effects
