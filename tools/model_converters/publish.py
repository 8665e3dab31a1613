#!/usr/bin/env python3
"""Writes the weights of a checkpoint, with its config and classes, and without training state.

The beginning of the file's SHA-256 is added to its name. The file replaces the checkpoint everywhere
but in --resume: in train.py --pretrained, test.py, infer.py, web_demo.py and init_cfg.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmcednet_threads import limit_threads


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '-o',
        '--out',
        type=Path,
        required=True,
        help='file to write; its suffix, .safetensors or .pth, is the format',
    )
    parser.add_argument(
        '--backbone', action='store_true', help="write the backbone's weights only, for --pretrained"
    )
    args = parser.parse_args(argv)
    # not above: they import torch, which --help does not need
    from mmcednet.checkpoints.publishing import publish
    from mmcednet.checkpoints.safe_loading import refuse_code
    from mmcednet.command_line import exit_on_error

    with exit_on_error():
        refuse_code()
        written = publish(args.checkpoint, args.out, args.backbone)
    print(f'{written}: {written.stat().st_size / 2**20:.1f} MiB')
    return 0


if __name__ == '__main__':
    limit_threads()  # before torch is imported
    sys.exit(main())
