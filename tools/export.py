#!/usr/bin/env python3
"""Exports a trained model as an ONNX file, with preprocessing and decoding inside."""

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from mmcednet_arguments import add_model_arguments
from mmcednet_threads import limit_threads

PACKAGES = ('onnx', 'onnxscript', 'onnxruntime')
TORCH = (2, 10)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_model_arguments(parser)
    parser.add_argument('-o', '--out', type=Path, required=True, help='file to write: NAME.onnx')
    parser.add_argument(
        '--color',
        choices=['bgr', 'rgb'],
        default='bgr',
        help="channels of the images that the file takes; default: 'bgr', as cv2 reads them",
    )
    parser.add_argument(
        '--check',
        nargs='+',
        default=[],
        metavar='PICTURE',
        help='pictures to run through torch and onnxruntime, each in three sizes; if the predictions '
        'differ, nothing is written',
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    # not above: they import torch, which --help does not need
    import torch

    from mmcednet.checkpoints.safe_loading import refuse_code
    from mmcednet.command_line import exit_on_error
    from mmcednet.inference.predict import load_predictor
    from mmcednet.launch.quiet import quiet_console
    from mmcednet.requirements import parse_release

    with exit_on_error(), quiet_console():
        refuse_code()
        missing = [name for name in PACKAGES if find_spec(name) is None]
        if missing:
            raise ValueError(f"export needs {', '.join(missing)}: pip install 'mmcednet[onnx]'")
        if parse_release(torch.__version__) < TORCH:
            required = '.'.join(map(str, TORCH))
            raise ValueError(f'export needs torch>={required}, but {torch.__version__} is installed')
        from mmcednet.export.run import export  # needs these packages

        if args.out.suffix != '.onnx':
            raise ValueError(f'{args.out} must end in .onnx')
        predictor = load_predictor(args.config, args.checkpoint, 'cpu')
        export(predictor, args.out, args.color, args.check)
    return 0


if __name__ == '__main__':
    limit_threads()  # before torch is imported
    sys.exit(main())
