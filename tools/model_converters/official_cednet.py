#!/usr/bin/env python3
"""Converts a checkpoint of the authors' released code into one for this project."""

import argparse
import os
import sys
from pathlib import Path

import torch

from mmcednet.converters.official import convert_state_dict
from mmcednet.models.pretrained import get_state_dict


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('input', type=Path, metavar='IN', help='checkpoint of the released code')
    parser.add_argument('output', type=Path, metavar='OUT', help='file to write')
    args = parser.parse_args()
    if not args.input.is_file():
        raise ValueError(f'there is no checkpoint {args.input}')
    checkpoint = torch.load(args.input, map_location='cpu', weights_only=True)
    converted = convert_state_dict(get_state_dict(checkpoint))
    args.output.parent.mkdir(parents=True, exist_ok=True)
    unfinished = args.output.with_name(f'{args.output.name}.unfinished')
    torch.save(dict(state_dict=converted), unfinished)
    os.replace(unfinished, args.output)
    print(f'{args.output}: {len(converted)} tensors')


if __name__ == '__main__':
    try:
        main()
    except ValueError as error:
        sys.exit(f'error: {error}')
