#!/usr/bin/env python3
"""Selects initial weights of a CEDNet from those of a ConvNeXt, and says which have no source.

The checkpoint is one of torchvision, timm, mmpretrain or the original code. tools/distill.py does the
same before it trains; see docs/pretraining.md.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmcednet_threads import limit_threads

if TYPE_CHECKING:
    from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('input', type=Path, metavar='CONVNEXT', help='checkpoint of a ConvNeXt')
    parser.add_argument('-o', '--out', type=Path, required=True, help='file to write, .pth')
    parser.add_argument('--arch', default='tiny', help='nano, tiny, small, base; default: tiny')
    parser.add_argument('--config', help='config whose backbone gets the weights, in place of --arch')
    args = parser.parse_args(argv)
    # not above: they import torch, which --help does not need
    from mmengine.registry import MODELS

    from mmcednet.checkpoints.safe_loading import refuse_code
    from mmcednet.command_line import exit_on_error
    from mmcednet.converters.convnext_selection import select_from_convnext
    from mmcednet.converters.files import convert_file
    from mmcednet.distillation.student import choose_backbone_config

    def convert(weights: dict[str, 'Tensor']) -> dict[str, 'Tensor']:
        network = MODELS.build(choose_backbone_config(args.arch, args.config, ROOT / 'configs'))
        selected = select_from_convnext(weights, network)
        return {f'backbone.{key}': value for key, value in selected.items()}

    with exit_on_error():
        refuse_code()
        number = convert_file(args.input, args.out, convert)
    print(f'{args.out}: {number} tensors')
    return 0


if __name__ == '__main__':
    limit_threads()  # before torch is imported
    sys.exit(main())
