"""Conversion of the published checkpoints of the networks in :mod:`mmcednet.baselines`.

``BASELINES`` maps the name of each network to the names of its published keys, a file of this folder.
"""

from collections.abc import Mapping

from torch import Tensor

from ..templates import compile_templates, match_key
from . import cbnet, cswin, focal_transformer, focalnet, giraffedet, revcol, spinenet
from .names import Names

BASELINES: dict[str, Names] = {
    'cbnet': cbnet.NAMES,
    'cswin': cswin.NAMES,
    'focal_transformer': focal_transformer.NAMES,
    'focalnet': focalnet.NAMES,
    'giraffedet': giraffedet.NAMES,
    'revcol': revcol.NAMES,
    'spinenet': spinenet.NAMES,
}
MODULES = ('backbone.', 'neck.')  # of a detector or segmenter whose keys are renamed


def convert_baseline_state_dict(network: str, state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the keys of a published checkpoint to ours.

    Args:
        network: Name of the network, a key of ``BASELINES``.
        state_dict: Published weights of a classifier, or of a detector or segmenter. There, only the
            keys with the prefixes 'backbone.' and 'neck.' change, those of the heads stay the same.

    Returns:
        The tensors under our names: a classifier's without its head, ready for
        ``tools/train.py --pretrained``.

    Raises:
        ValueError: A key does not belong to the network, or two keys get the same name.
    """
    names = BASELINES[network]
    rules = {
        'backbone.': compile_templates(names.backbone, names.patterns),
        'neck.': compile_templates(names.neck, names.patterns),
    }
    dropped = compile_templates(dict.fromkeys(names.dropped, ''), names.patterns)
    whole = any(key.startswith('backbone.') for key in state_dict)
    kept: dict[str, Tensor] = {}
    renamed: dict[str, dict[str, Tensor]] = {module: {} for module in MODULES}
    for key, value in state_dict.items():
        module = next((m for m in MODULES if key.startswith(m)), '') if whole else 'backbone.'
        if not module or not rules[module]:  # a head, or a neck of the toolbox
            kept[key] = value
            continue
        inner = key.removeprefix(module) if whole else key
        if match_key(inner, dropped):
            continue
        match = match_key(inner, rules[module])
        ours = match[0].format(**match[1]) if match else None
        if ours is None or ours in renamed[module]:
            raise ValueError(f'unexpected key {key!r} in a published checkpoint of {network}')
        renamed[module][ours] = value
    renamed['backbone.'] = names.adapt(renamed['backbone.'])
    if not whole:
        return renamed['backbone.']
    return names.adapt_head(kept) | {
        module + key: value for module in MODULES for key, value in renamed[module].items()
    }
