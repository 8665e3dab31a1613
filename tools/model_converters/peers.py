#!/usr/bin/env python3
"""Converts a published checkpoint of one of the paper's other networks into one for this project."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from mmcednet.converters.peers import PEERS, convert_peer_state_dict
from mmcednet.engine.command_line import exit_on_error
from mmcednet.engine.files import atomic_write
from mmcednet.engine.safe_loading import load_file
from mmcednet.models.pretrained import get_state_dict


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('network', choices=PEERS, help='name of the network')
    parser.add_argument('input', type=Path, metavar='IN', help='published checkpoint')
    parser.add_argument('output', type=Path, metavar='OUT', help='file to write')
    args = parser.parse_args(argv)
    with exit_on_error():
        if not args.input.is_file():
            raise ValueError(f'the checkpoint {args.input} does not exist')
        checkpoint = load_file(args.input, 'cpu')
        converted = convert_peer_state_dict(args.network, get_state_dict(checkpoint))
    with atomic_write(args.output) as path:
        torch.save(dict(state_dict=converted), path)
    print(f'{args.output}: {len(converted)} tensors')
    return 0


if __name__ == '__main__':
    sys.exit(main())
