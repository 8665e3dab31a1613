"""The keys of CSWin: its authors' classifiers, and the detectors of CEDNet's released code."""

from .names import Names

NAMES = Names(
    backbone={
        'stage1_conv_embed.0.{param}': 'embed.0.{param}',
        'stage1_conv_embed.2.{param}': 'embed.1.{param}',
        **{f'merge{stage}.conv.{{param}}': f'merges.{stage - 1}.0.{{param}}' for stage in (1, 2, 3)},
        **{f'merge{stage}.norm.{{param}}': f'merges.{stage - 1}.1.{{param}}' for stage in (1, 2, 3)},
        **{
            f'stage{stage}.{{i}}.{published}.{{param}}': f'stages.{stage - 1}.{{i}}.{ours}.{{param}}'
            for stage in (1, 2, 3, 4)
            for published, ours in {
                'norm1': 'norm1',
                'qkv': 'mixer.qkv',
                'attns.{j}.get_v': 'mixer.branches.{j}.lepe',
                'proj': 'mixer.proj',
                'norm2': 'norm2',
                'mlp.fc1': 'mlp.pwconv1',
                'mlp.fc2': 'mlp.pwconv2',
            }.items()
        },
        'norm{i}.{param}': 'norm{i}.{param}',
    },
    dropped=('norm.{param}', 'head.{param}'),
)
