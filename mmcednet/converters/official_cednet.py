"""Renames the keys of the authors' released checkpoints.

A key is the position of a layer or block in the network, the name of a layer within the block, and the
name of a tensor. Templates map released keys to ours; their fields stand for what varies:

    {stage}  a cascade stage, from 1 in the released code, from 0 in ours
    {index}  any other index
    {param}  'weight' or 'bias'
    {norm}   a tensor of a norm of the network: for BatchNorm also the running statistics
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from torch import Tensor

from .templates import BATCH_NORM, PARAM, Rule, Templates, compile_templates, match_key

# Everything outside the blocks.
LAYERS: Templates = {
    'stem.0.{param}': 'stem.conv1.{param}',
    'stem.1.{norm}': 'stem.norm1.{norm}',
    'stem.3.{param}': 'stem.conv2.{param}',
    'stem.4.{norm}': 'stem.norm2.{norm}',
    'stages.0.{index}.0.{param}': 'stem.downsample.0.{param}',
    'stages.0.{index}.1.{norm}': 'stem.downsample.1.{norm}',
    'stages.{stage}.0.encoder_downsample.0.0.{param}': 'stages.{stage}.encoder.down4.0.{param}',
    'stages.{stage}.0.encoder_downsample.0.1.{norm}': 'stages.{stage}.encoder.down4.1.{norm}',
    'stages.{stage}.0.encoder_downsample.1.0.{param}': 'stages.{stage}.encoder.down5.0.{param}',
    'stages.{stage}.0.encoder_downsample.1.1.{norm}': 'stages.{stage}.encoder.down5.1.{norm}',
    'stages.{stage}.1.decoder_upsample.0.0.{param}': 'stages.{stage}.decoder.reduce5.{param}',
    'stages.{stage}.1.decoder_upsample.1.0.{param}': 'stages.{stage}.decoder.reduce4.{param}',
    'stages.{stage}.1.decoder_norm.0.{norm}': 'stages.{stage}.decoder.norm4.{norm}',
    'stages.{stage}.1.decoder_norm.1.{norm}': 'stages.{stage}.decoder.norm3.{norm}',
    'reduce_convs.{index}.0.{param}': 'pyramid.laterals.{index}.0.{param}',
    'reduce_convs.{index}.1.{norm}': 'pyramid.laterals.{index}.1.{norm}',
    'add_blocks.{index}.0.{param}': 'pyramid.extras.{index}.0.{param}',
    'add_blocks.{index}.1.{norm}': 'pyramid.extras.{index}.1.{norm}',
    # the norms of P2 and of the classifier's features are LayerNorm with every mixer
    'reduce_c2.0.{param}': 'pyramid.lateral2.0.{param}',
    'reduce_c2.1.{param}': 'pyramid.lateral2.1.{param}',
    'merge_c2.0.{param}': 'pyramid.merge2.0.{param}',
    'merge_c2.1.{param}': 'pyramid.merge2.1.{param}',
    'final_layers.{index}.0.{param}': 'head.convs.{index}.0.{param}',
    'final_layers.{index}.1.{norm}': 'head.convs.{index}.1.{norm}',
    'norms.{index}.{param}': 'head.norms.{index}.{param}',
    'heads.{index}.{param}': 'head.fcs.{index}.{param}',
}

# Positions of the blocks. In networks without long-range blocks, level 5 has plain ones.
LONG_RANGE_POSITIONS: Templates = {
    'stages.{stage}.0.encoder.2.{index}.': 'stages.{stage}.encoder.level5.{index}.',
}
POSITIONS: Templates = {
    'stages.0.{index}.': 'stem.blocks.{index}.',
    'stages.{stage}.0.encoder.0.{index}.': 'stages.{stage}.encoder.level3.{index}.',
    'stages.{stage}.0.encoder.1.{index}.': 'stages.{stage}.encoder.level4.{index}.',
    'stages.{stage}.1.decoder.0.{index}.': 'stages.{stage}.decoder.level4.{index}.',
    'stages.{stage}.1.decoder.1.{index}.': 'stages.{stage}.decoder.level3.{index}.',
    'stages.{stage}.1.lateral.0.': 'stages.{stage}.decoder.lateral4.0.',
    'stages.{stage}.1.lateral.1.': 'stages.{stage}.decoder.lateral3.0.',
    **LONG_RANGE_POSITIONS,
}

# Layers within a block.
MLP: Templates = {
    'pwconv1.{param}': 'mlp.pwconv1.{param}',
    'pwconv2.{param}': 'mlp.pwconv2.{param}',
}
SCALED_MLP: Templates = {**MLP, 'gamma': 'mlp.gamma'}
DWCONV_BLOCK: Templates = {
    'dwconv.{param}': 'dwconv.{param}',
    'norm.{norm}': 'norm.{norm}',
    **SCALED_MLP,
}
LONG_RANGE_DWCONV_BLOCK: Templates = {
    'dwconv1.0.{param}': 'dwconv1.{param}',
    'dwconv1.1.{norm}': 'norm1.{norm}',
    'dwconv2.0.{param}': 'dwconv2.{param}',
    'dwconv2.1.{norm}': 'norm2.{norm}',
    **SCALED_MLP,
}
CONV_BLOCK: Templates = {
    'conv1.0.weight': 'conv1.weight',
    'conv1.1.{norm}': 'norm1.{norm}',
    'conv2.0.weight': 'conv2.weight',
    'conv2.1.{norm}': 'norm2.{norm}',
    'conv3.0.weight': 'conv3.weight',
    'conv3.1.{norm}': 'norm3.{norm}',
}
LONG_RANGE_CONV_BLOCK: Templates = {
    **CONV_BLOCK,
    'dwconv1.0.{param}': 'dwconv.{param}',
    'dwconv1.1.{norm}': 'dwconv_norm.{norm}',
}
WINDOW_BLOCK: Templates = {
    'norm1.{norm}': 'norm1.{norm}',
    'attn.qkv.{param}': 'mixer.qkv.{param}',
    'attn.proj.{param}': 'mixer.proj.{param}',
    'attn.relative_position_bias_table': 'mixer.relative_position_bias_table',
    'attn.relative_position_index': 'mixer.relative_position_index',
    'norm2.{norm}': 'norm2.{norm}',
    **MLP,
}
LONG_RANGE_WINDOW_BLOCK: Templates = {
    **WINDOW_BLOCK,
    'norm_act1.0.{norm}': 'mixer_norm.{norm}',
    'dwconv2.{param}': 'dwconv.{param}',
    'norm_act2.0.{norm}': 'dwconv_norm.{norm}',
}
CROSS_WINDOW_BLOCK: Templates = {
    'norm1.{norm}': 'norm1.{norm}',
    'qkv.{param}': 'mixer.qkv.{param}',
    'proj.{param}': 'mixer.proj.{param}',
    'attns.0.get_v.{param}': 'mixer.branches.0.lepe.{param}',
    'attns.1.get_v.{param}': 'mixer.branches.1.lepe.{param}',  # not in long-range blocks
    'norm2.{norm}': 'norm2.{norm}',
    **MLP,
}


class MixerTemplates(NamedTuple):
    """The blocks of a token mixer, and the names of the tensors in a norm of its network."""

    block: Templates
    long_range_block: Templates
    norm: str = PARAM  # of LayerNorm


MIXER_TEMPLATES = {
    'dwconv': MixerTemplates(DWCONV_BLOCK, LONG_RANGE_DWCONV_BLOCK),
    'conv': MixerTemplates(CONV_BLOCK, LONG_RANGE_CONV_BLOCK, norm=BATCH_NORM),
    'window': MixerTemplates(WINDOW_BLOCK, LONG_RANGE_WINDOW_BLOCK),
    'cross_window': MixerTemplates(CROSS_WINDOW_BLOCK, CROSS_WINDOW_BLOCK),
}
# Substrings of the keys that identify a mixer; without any of them, it is 'dwconv'.
MIXER_MARKERS = {'conv': '.conv1.0.', 'window': '.attn.', 'cross_window': '.attns.'}

BACKBONE = 'backbone.'
HEAD = 'head.'
RECOMPUTED = '.relative_position_index'  # a constant that our checkpoints do not contain


def convert_state_dict(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the keys of a released checkpoint to ours.

    Args:
        state_dict: Released weights, with or without the prefix 'module.'. If there are keys with the
            prefix 'backbone.', as in a detector, only they are renamed, and they keep the prefix; the
            heads' keys stay the same.

    Returns:
        The same tensors under our names, without ``relative_position_index``, which our models compute.
        The keys of a classifier get the prefixes of an mmpretrain ``ImageClassifier``, 'backbone.' and
        'head.'.

    Raises:
        ValueError: A key does not belong to CEDNet, or two keys get the same name.
    """
    state_dict = {key.removeprefix('module.'): value for key, value in state_dict.items()}
    prefix = BACKBONE if any(key.startswith(BACKBONE) for key in state_dict) else ''
    mixer = detect_mixer(key for key in state_dict if key.startswith(prefix))
    rules = build_rules(MIXER_TEMPLATES[mixer])
    converted = {}
    for key, value in state_dict.items():
        if not key.startswith(prefix):
            converted[key] = value
            continue
        ours = convert_key(key.removeprefix(prefix), rules)
        if ours is None or prefix + ours in converted:
            raise ValueError(f'unexpected key {key!r} in a released checkpoint with mixer {mixer!r}')
        if not ours.endswith(RECOMPUTED):
            converted[prefix + ours] = value
    if not prefix and any(key.startswith(HEAD) for key in converted):
        return {k if k.startswith(HEAD) else BACKBONE + k: v for k, v in converted.items()}
    return converted


def detect_mixer(keys: Iterable[str]) -> str:
    """The token mixer of a released backbone with these keys."""
    keys = list(keys)
    for mixer, marker in MIXER_MARKERS.items():
        if any(marker in key for key in keys):
            return mixer
    return 'dwconv'


def build_rules(mixer: MixerTemplates) -> list[Rule]:
    """The compiled templates of a network."""
    templates = {
        **LAYERS,
        **join_templates(POSITIONS, mixer.block),
        **join_templates(LONG_RANGE_POSITIONS, mixer.long_range_block),
    }
    patterns = dict(stage=r'[1-9]\d*', index=r'\d+', param=PARAM, norm=mixer.norm)
    return compile_templates(templates, patterns)


def join_templates(positions: Templates, layers: Templates) -> Templates:
    """Templates of each layer at each position."""
    return {
        position + layer: our_position + our_layer
        for position, our_position in positions.items()
        for layer, our_layer in layers.items()
    }


def convert_key(key: str, rules: list[Rule]) -> str | None:
    """Our name of a released key without prefix, by the first rule that matches; None if none does."""
    match = match_key(key, rules)
    if match is None:
        return None
    ours, fields = match
    if 'stage' in fields:
        fields['stage'] = str(int(fields['stage']) - 1)  # stages.0 is the stem
    return ours.format(**fields)
