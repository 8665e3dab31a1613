#!/usr/bin/env python3
"""Shows a trained detector or segmenter in a web page: upload a picture, see the prediction."""

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from mmcednet_arguments import add_device_argument, add_model_arguments, add_prediction_arguments
from mmcednet_threads import limit_threads


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_model_arguments(parser)
    parser.add_argument(
        '--examples',
        type=Path,
        help="folder of example pictures; default: some of the config's validation images",
    )
    add_device_argument(parser)
    parser.add_argument('--host', default='127.0.0.1', help='default: 127.0.0.1, this machine only')
    parser.add_argument('--port', type=int, default=7860, help='default: 7860')
    add_prediction_arguments(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    # not above: they import torch, which --help does not need
    from mmcednet.checkpoints.safe_loading import refuse_code
    from mmcednet.command_line import exit_on_error
    from mmcednet.config_files import read_config
    from mmcednet.inference.inputs import find_validation_images, list_examples
    from mmcednet.inference.predict import load_predictor
    from mmcednet.inference.toolboxes import import_toolbox
    from mmcednet.launch.quiet import quiet_console

    with exit_on_error(), quiet_console():
        refuse_code()
        if find_spec('gradio') is None:
            raise ValueError("the web demo needs gradio: pip install 'mmcednet[web]'")
        examples = list_examples(args.examples) if args.examples else None
        cfg = read_config(args.config)
        import_toolbox(cfg.get('default_scope'))
        predictor = load_predictor(cfg, args.checkpoint, args.device, args.amp, args.cuda_graph)
        if examples is None:
            examples = find_validation_images(cfg)
        config = Path(args.config)
        from mmcednet.inference import web  # needs gradio, and takes seconds

        title = f'{config.parent.name}/{config.stem}'
        description = f'{args.checkpoint} · {predictor.task} · {len(predictor.classes or ())} classes'
        web.serve(web.build_app(predictor, title, description, examples), args.host, args.port)
    return 0


if __name__ == '__main__':
    limit_threads()  # before torch is imported
    sys.exit(main())
