"""Generated settings and images: CEDNet computes what it documents, or raises what it documents."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from mmcednet.models import CEDNet
from mmcednet.models.execution import RECOMPUTE

# The same examples in each run, without a database and without a limit of time
FIXED = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
# Channels of a mixer are multiples of its number of heads
WIDTHS = {
    'dwconv': (1, 1, 1, 1),
    'conv': (1, 1, 1, 1),
    'window': (32,) * 4,
    'cross_window': (2, 4, 8, 10),
}
DTYPES = (torch.float32, torch.float64, torch.bfloat16)


@st.composite
def draw_arch(draw: Callable, mixer: str) -> dict:
    """A small arch of one to three stages."""
    largest = 1 if mixer == 'window' else 12 if 'conv' in mixer else 2
    channels = [width * draw(st.integers(1, largest)) for width in WIDTHS[mixer]]
    numbers = st.lists(st.integers(0, 2), min_size=3, max_size=3)
    stem, num_stages = draw(st.integers(0, 2)), draw(st.integers(1, 3))
    if draw(st.booleans()):
        blocks = [draw(numbers) for _ in range(num_stages)]
        return dict(channels=channels, blocks=(stem, *blocks))
    return dict(channels=channels, blocks=(stem, *draw(numbers)), num_stages=num_stages)


@st.composite
def draw_settings(draw: Callable) -> dict[str, Any]:
    """Valid arguments of CEDNet."""
    mixer = draw(st.sampled_from(list(WIDTHS)))
    arch = draw(draw_arch(mixer))
    num_stages = arch.get('num_stages', len(arch['blocks']) - 1)
    raw = st.lists(st.integers(2, 5), min_size=1, max_size=4, unique=True)
    levels = st.builds(
        lambda first, last: tuple(range(first, last + 1)), *map(st.integers, (2, 5), (3, 8))
    )
    return dict(
        arch=arch,
        style=draw(st.sampled_from(('fpn', 'unet', 'hourglass'))),
        mixer=mixer,
        long_range=draw(st.booleans()),
        final_decoder=draw(st.booleans()),
        pyramid=draw(
            st.none() | st.fixed_dictionaries(dict(levels=levels, channels=st.integers(1, 9)))
        ),
        out_levels=draw(raw),
        aux_stages=draw(st.booleans()),
        aux_level=draw(st.integers(3, 5)),
        drop_path_rate=draw(st.floats(0, 0.9)),
        layer_scale=draw(st.sampled_from([0, 1e-6, 1])),
        top_down_init=draw(st.sampled_from([0, 0.1, 1])),
        frozen_stages=draw(st.integers(-1, num_stages)),
        norm_eval=draw(st.booleans()),
        recompute=draw(st.sampled_from(RECOMPUTE)),
        with_cp=draw(st.booleans()),
        in_channels=draw(st.integers(1, 4)),
    )


@st.composite
def draw_images(draw: Callable, channels: int, dtype: torch.dtype) -> Tensor:
    """One to three images of 32 to 400 pixels, in one of several memory layouts."""
    number = draw(st.integers(1, 3))
    height, width = (draw(st.sampled_from(range(32, 401))) for _ in range(2))
    images = torch.randn(number, channels, height, width, dtype=dtype)
    layout = draw(st.sampled_from(['contiguous', 'channels_last', 'strided', 'expanded']))
    if layout == 'channels_last':
        images = images.to(memory_format=torch.channels_last)
    elif layout == 'strided':
        images = torch.randn(number, channels, width, 2 * height, dtype=dtype)[..., ::2].mT
    elif layout == 'expanded':
        images = images[:1].expand(number, -1, -1, -1)
    return images.requires_grad_(draw(st.booleans()))


def has_single_values(model: CEDNet, images: Tensor) -> bool:
    """Whether a BatchNorm that is trained gets one value per channel."""
    trained = any(
        isinstance(module, torch.nn.BatchNorm2d) and module.training for module in model.modules()
    )
    coarsest = max(model.out_strides + (32,))
    return trained and len(images) == 1 and max(images.shape[-2:]) < 2 * coarsest


@pytest.mark.slow
@settings(FIXED, max_examples=250)
@given(st.data())
def test_any_settings_and_images(data):
    arguments = data.draw(draw_settings())
    dtype = data.draw(st.sampled_from(DTYPES))
    images = data.draw(draw_images(arguments['in_channels'], dtype))
    autocast = dtype == torch.float32 and data.draw(st.booleans())
    torch.manual_seed(0)
    model = CEDNet(**arguments).to(dtype).train(data.draw(st.booleans()))
    try:
        with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
            outs = model(images)
    except ValueError as error:
        assert 'more than 1 value per channel' in str(error)
        assert has_single_values(model, images)
        return
    assert len(outs) == len(model.out_channels) == len(model.out_strides)
    for out, channels, stride in zip(outs, model.out_channels, model.out_strides):
        assert out.shape[:2] == (len(images), channels)
        for length, image in zip(out.shape[2:], images.shape[2:]):
            assert abs(length - image / stride) <= 1
        assert out.dtype == dtype or autocast
        assert out.is_contiguous()
    assert all(out.isfinite().all() for out in outs)
    check_gradients(model, images, outs)


def check_gradients(model: CEDNet, images: Tensor, outs: tuple[Tensor, ...]) -> None:
    """The backward pass reaches what is trained, with finite gradients, and nothing that is frozen."""
    loss = sum((out * torch.randn_like(out)).float().mean() for out in outs)
    if not loss.requires_grad:
        assert not images.requires_grad
        return
    loss.backward()
    assert not images.requires_grad or images.grad.isfinite().all()
    for name, param in model.named_parameters():
        assert param.requires_grad or param.grad is None, name
        assert param.grad is None or param.grad.isfinite().all(), name


SMALL = dict(channels=(2, 4, 8, 10), blocks=(1, 1, 1, 1), num_stages=2)
WRONG = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 9)
    | st.sampled_from([0.5, 3.0, -1.0, math.nan, math.inf, -math.inf, '', '3', 'fpn', 'tiny', b'x'])
    | st.binary(max_size=3)
    | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.sampled_from(['channels', 'blocks', 'num_stages', 'levels', 'x']), inner)
    ),
    max_leaves=6,
)
CHECKED = (
    'arch', 'style', 'mixer', 'pyramid', 'out_levels', 'aux_level', 'drop_path_rate', 'layer_scale',
    'top_down_init', 'frozen_stages', 'recompute', 'in_channels',
)  # fmt: skip
PARTS = [(name, None) for name in CHECKED]
PARTS += [('arch', key) for key in SMALL] + [('pyramid', key) for key in ('levels', 'channels')]


@settings(FIXED, max_examples=1000)
@given(st.sampled_from(PARTS), WRONG)
def test_any_value_of_an_argument(part, value):
    """It is accepted, and the network computes finite features, or named in a ValueError."""
    name, key = part
    arguments = dict(arch=SMALL, aux_stages=True)
    if key is None:
        arguments[name] = value
    else:
        arguments[name] = (SMALL if name == 'arch' else {}) | {key: value}
    try:
        with torch.device('meta'):
            CEDNet(**arguments)
    except ValueError as error:
        assert (key or name).replace('_', ' ') in str(error).replace('_', ' ')
        return
    if value == 'tiny':  # computes for seconds
        return
    model = CEDNet(**arguments).eval()
    with torch.no_grad():
        outs = model(torch.randn(1, arguments.get('in_channels', 3), 32, 32))
    assert all(out.isfinite().all() for out in outs)


@settings(FIXED, max_examples=100)
@given(st.lists(st.integers(0, 40), max_size=5))
def test_images_of_any_shape(shape):
    model = CEDNet(SMALL).eval()
    images = torch.zeros(shape)
    if len(shape) == 4 and shape[1] == 3 and min(shape[2:]) >= 32:
        assert len(model(images)) == 4
        return
    with pytest.raises(ValueError, match='CEDNet needs'):
        model(images)
