"""Widths and depths of a CEDNet: the presets of the paper, and those of one's own."""

from typing import Any, NamedTuple

from .utils import are_integers, check_choice


class Arch(NamedTuple):
    """Channels and depths of a CEDNet."""

    channels: dict[int, int]  # of the levels 2 to 5, at strides 4, 8, 16, 32
    stem_blocks: int
    stages: tuple[dict[int, int], ...]  # per stage, the number of blocks of the levels 3 to 5


ARCHS = {
    'tiny': dict(channels=(96, 192, 352, 512), blocks=(3, 2, 4, 2), num_stages=3),
    'small': dict(channels=(96, 192, 352, 512), blocks=(3, 2, 7, 2), num_stages=4),
    'base': dict(channels=(128, 256, 448, 704), blocks=(3, 2, 7, 2), num_stages=4),
    'r50_t': dict(channels=(64, 128, 256, 384), blocks=(3, 1, 4, 2), num_stages=3),
    'swin_t': dict(channels=(96, 160, 288, 416), blocks=(3, 2, 4, 2), num_stages=3),
    'cswin_t': dict(channels=(64, 128, 256, 320), blocks=(3, 2, 8, 1), num_stages=3),
}
ARCH_MIXERS = {'r50_t': 'conv', 'swin_t': 'window', 'cswin_t': 'cross_window'}


def parse_arch(arch: str | dict) -> Arch:
    """Turn a preset's name, or a dict, into an :class:`Arch`; see :class:`mmcednet.models.CEDNet`.

    Raises:
        ValueError: There is no such preset, or the dict is not as described there.
    """
    if isinstance(arch, str):
        arch = ARCHS[check_choice('arch', arch, ARCHS)]
    keys = {'channels', 'blocks', 'num_stages'}
    if not isinstance(arch, dict) or not {'channels', 'blocks'} <= set(arch) <= keys:
        raise ValueError(
            f'arch {arch!r} must be one of {", ".join(ARCHS)} or a dict of channels, blocks, num_stages'
        )
    channels, blocks = to_tuple(arch['channels']), to_tuple(arch['blocks'])
    stem_blocks, *rest = blocks if isinstance(blocks, tuple) and blocks else (None,)
    per_stage = any(isinstance(item, tuple) for item in rest)
    num_stages = arch.get('num_stages', len(rest) if per_stage else 1)
    if not are_integers(channels, 4, minimum=1):
        raise ValueError(f'arch channels {channels} must be four positive integers')
    if not are_integers([num_stages], 1, minimum=1) or (per_stage and num_stages != len(rest)):
        raise ValueError(
            f'arch num_stages {num_stages} must be 1 or more and match the blocks, {blocks}'
        )
    stages = tuple(rest) if per_stage else (tuple(rest),) * num_stages
    if not are_integers([stem_blocks], 1) or not all(are_integers(stage, 3) for stage in stages):
        raise ValueError(
            f'arch blocks {blocks} must be (n0, n1, n2, n3), or n0 and one (n1, n2, n3) per stage'
        )
    return Arch(
        channels=dict(zip((2, 3, 4, 5), channels)),
        stem_blocks=stem_blocks,
        stages=tuple(dict(zip((3, 4, 5), stage)) for stage in stages),
    )


def choose_mixer(arch: str | dict) -> str:
    """The token mixer of a preset; 'dwconv' for a dict."""
    return ARCH_MIXERS.get(arch, 'dwconv') if isinstance(arch, str) else 'dwconv'


def to_tuple(value: Any) -> Any:
    """Convert lists to tuples, at all depths."""
    return tuple(map(to_tuple, value)) if isinstance(value, (list, tuple)) else value
