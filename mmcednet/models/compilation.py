"""torch.compile for CEDNet."""

import torch
from torch import nn

from .blocks import Blocks

RECOMPILE_LIMIT = 64


def compile_blocks(model: nn.Module, backend: str = 'inductor') -> None:
    """Compile the blocks of CEDNet with torch.compile, in place, for images of any size.

    Blocks of the same kind and width share their code, so that a network needs about two compilations
    per level: one for training, one for inference. Compiling the network as a whole would take many
    minutes: the sizes of later stages are long expressions of the image's size.

    Args:
        model: A CEDNet, or a detector, segmenter or classifier with one. Its weights keep their names.
        backend: torch.compile's backend. Default: 'inductor'.

    Raises:
        ValueError: The model has no CEDNet, or torch is older than 2.3.
    """
    blocks = [block for module in model.modules() if isinstance(module, Blocks) for block in module]
    if not blocks:
        raise ValueError('there is no CEDNet in the model, and only its blocks can be compiled')
    if not hasattr(torch.compiler, 'is_compiling'):  # older ones compile every block by itself
        raise ValueError(f'compiling needs torch 2.3 or newer, but this is torch {torch.__version__}')
    # all blocks of a class count together; by default torch stops compiling after 8 kinds
    config = torch._dynamo.config
    config.cache_size_limit = max(config.cache_size_limit, RECOMPILE_LIMIT)
    for block in blocks:
        block.compile(dynamic=True, backend=backend)
