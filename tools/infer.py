#!/usr/bin/env python3
"""Predicts on images and videos with a trained model: draws the predictions and writes them as JSON."""

import argparse
import gc
import sys
from collections.abc import Sequence
from pathlib import Path

from mmcednet_arguments import (
    add_compile_argument,
    add_device_argument,
    add_model_arguments,
    add_prediction_arguments,
)
from mmcednet_threads import limit_threads


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_model_arguments(parser)
    parser.add_argument(
        'inputs',
        nargs='+',
        metavar='input',
        help='image, video, folder, glob pattern, number of a camera, or address such as rtsp://HOST/PATH',
    )
    parser.add_argument('-o', '--out', type=Path, required=True, help='folder to write; must be new')
    parser.add_argument(
        '--score',
        type=float,
        default=0.3,
        help='detectors: lowest score of a detection that is drawn and written; default: 0.3',
    )
    add_device_argument(parser)
    parser.add_argument(
        '--batch', type=int, default=1, help='images of one size that are computed at once; default: 1'
    )
    parser.add_argument(
        '--annotations',
        type=Path,
        metavar='FILE',
        help="annotation file in COCO's format whose ids of images and classes are written; default: "
        'images are numbered from 1, and so are classes if the checkpoint does not have the ids of the '
        'annotations that it was trained on',
    )
    parser.add_argument(
        '--tile',
        type=int,
        metavar='SIZE',
        help='predict on overlapping tiles of SIZE x SIZE pixels, for images much larger than those of '
        'the training; default: on the whole image',
    )
    add_drawing_arguments(parser)
    add_compile_argument(parser)
    add_prediction_arguments(parser)
    return parser.parse_args(argv)


def add_drawing_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--no-drawing', action='store_true', help='write no pictures and videos')
    parser.add_argument('--no-labels', action='store_true', help='write no classes into the pictures')
    parser.add_argument('--no-legend', action='store_true', help='add no legend beside the pictures')
    parser.add_argument(
        '--line-width',
        type=int,
        metavar='PIXELS',
        help='of boxes and outlines, 0 for none; default: from 1, by the size of the image',
    )


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    gc.disable()  # imports leave no garbage, and looking for it would take a fifth of the start
    try:
        problems = infer(args)
    finally:
        gc.enable()
    print(f'predictions.json{"" if args.no_drawing else " and drawn pictures"}: {args.out}')
    if problems:
        print(f'error: {problems}', file=sys.stderr)
    return 1 if problems else 0


def infer(args: argparse.Namespace) -> str:
    """Predict; return a sentence that names files that could not be read, empty if there are none."""
    # not above: they import torch, which --help does not need
    from mmcednet.checkpoints.safe_loading import refuse_code
    from mmcednet.command_line import exit_on_error
    from mmcednet.config_files import read_config
    from mmcednet.inference.annotation_ids import read_ids
    from mmcednet.inference.inputs import find_sources
    from mmcednet.inference.outputs import check_out, write_predictions
    from mmcednet.inference.predict import load_predictor
    from mmcednet.inference.toolboxes import import_toolbox
    from mmcednet.launch.quiet import quiet_console
    from mmcednet.models import compile_blocks
    from mmcednet.visualization.predictions import Style

    with exit_on_error(), quiet_console():
        refuse_code()
        if args.batch < 1:
            raise ValueError(f'--batch {args.batch} must be at least 1')
        if not 0 <= args.score <= 1:
            raise ValueError(f'--score {args.score} must be from 0 to 1')
        if args.line_width is not None and args.line_width < 0:
            raise ValueError(f'--line-width {args.line_width} must be at least 0')
        check_out(args.out, args.inputs)
        sources = find_sources(args.inputs)
        cfg = read_config(args.config)
        import_toolbox(cfg.get('default_scope'))
        predictor = load_predictor(cfg, args.checkpoint, args.device, args.amp, args.cuda_graph)
        if args.compile:
            compile_blocks(predictor.inferencer.model)
        ids = read_ids(args.annotations, sources, predictor.classes) if args.annotations else None
        style = Style(not args.no_labels, not args.no_legend, args.line_width)
        gc.freeze()  # nor are the modules garbage later
        gc.enable()
        return write_predictions(
            predictor,
            sources,
            args.out,
            args.score,
            args.batch,
            ids,
            None if args.no_drawing else style,
            args.tile,
        )


if __name__ == '__main__':
    limit_threads()  # before torch is imported
    sys.exit(main())
