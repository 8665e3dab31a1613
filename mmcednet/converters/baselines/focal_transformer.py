"""Published keys of Focal Transformer, version 1 without convolutional embedding.

A classifier of 224x224 px has no position biases to neighbours in its last stage, which is one window;
in ours they keep their initialisation.
"""

from .names import Names

BLOCK = 'layers.{i}.blocks.{j}.'
OURS = 'stages.{i}.{j}.'
SAME = (
    'norm1.{param}',
    'norm2.{param}',
    'attn.qkv.{param}',
    'attn.proj.{param}',
    'attn.relative_position_bias_table',
    'attn.relative_position_bias_table_to_neighbors',
)

NAMES = Names(
    backbone={
        'patch_embed.proj.{param}': 'patch_embed.proj.{param}',
        'patch_embed.norm.{param}': 'patch_embed.norm.{param}',
        'layers.{i}.downsample.proj.{param}': 'downsamples.{i}.proj.{param}',
        'layers.{i}.downsample.norm.{param}': 'downsamples.{i}.norm.{param}',
        **{BLOCK + name: OURS + name for name in SAME},
        # The only pooled level
        BLOCK + 'attn.relative_position_bias_table_to_windows.0': (
            OURS + 'attn.relative_position_bias_table_to_windows'
        ),
        BLOCK + 'pool_layers.0.{param}': OURS + 'attn.pool.{param}',
        BLOCK + 'mlp.fc1.{param}': OURS + 'mlp.pwconv1.{param}',
        BLOCK + 'mlp.fc2.{param}': OURS + 'mlp.pwconv2.{param}',
    },
    dropped=(
        'norm.{param}',  # before the classifier's head
        'head.{param}',
        BLOCK + 'attn.relative_position_index',
        BLOCK + 'attn.relative_position_index_0',
        BLOCK + 'attn.valid_ind_rolled',
    ),
)
