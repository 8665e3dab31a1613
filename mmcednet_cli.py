"""The command ``mmcednet``: the scripts of tools/ by their names, from a clone or an installed wheel.

Outside of the package, whose import imports torch: threads are limited before, help does without it.
"""

import ast
import runpy
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from mmcednet_threads import limit_threads

# Command -> its script below tools/
COMMANDS = {
    'new-config': 'new_config.py',
    'train': 'train.py',
    'test': 'test.py',
    'evaluate': 'evaluate.py',
    'infer': 'infer.py',
    'web-demo': 'web_demo.py',
    'export': 'export.py',
    'publish': 'model_converters/publish.py',
    'use-cednet': 'use_cednet.py',
    'split-coco': 'dataset_converters/split_coco.py',
    'split-images': 'dataset_converters/split_images.py',
    'voc-to-coco': 'dataset_converters/voc_to_coco.py',
    'yolo-to-coco': 'dataset_converters/yolo_to_coco.py',
    'labelme-to-coco': 'dataset_converters/labelme_to_coco.py',
    'fill-supercategories': 'dataset_converters/fill_supercategories.py',
    'tiny-imagenet': 'dataset_converters/tiny_imagenet.py',
    'draw-shapes': 'draw_shapes.py',
    'official-cednet': 'model_converters/official_cednet.py',
    'baselines': 'model_converters/baselines.py',
    'convnext-to-cednet': 'model_converters/convnext_to_cednet.py',
    'distill': 'distill.py',
    'fusion-time': 'analysis/fusion_time.py',
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command in this process.

    Args:
        argv: The command and its arguments. Default: those of this process.

    Raises:
        SystemExit: With the exit code of the command; there is no such command.
    """
    command, *args = (sys.argv[1:] if argv is None else argv) or ['--help']
    if command in ('-h', '--help'):
        print(format_help())
        sys.exit()
    if command == '--version':
        version = runpy.run_path(str(find_package() / 'version.py'))['__version__']
        print(f'mmcednet {version}')
        sys.exit()
    if command not in COMMANDS:
        sys.exit(f'error: there is no command {command!r}; choose one of: {", ".join(COMMANDS)}')
    limit_threads()
    sys.argv = [f'mmcednet {command}', *args]  # the usage has the first word
    sys.exit(runpy.run_path(str(find_script(command)))['main'](args))


def format_help() -> str:
    """The commands, each with the first sentence of its script."""
    lines = ['usage: mmcednet COMMAND ...', '       mmcednet COMMAND --help', '']
    for command in COMMANDS:
        text = ast.get_docstring(ast.parse(find_script(command).read_text(encoding='utf-8')))
        lines.append(f'  {command:20}  {(text or "").splitlines()[0]}')
    return '\n'.join(lines)


def find_script(command: str) -> Path:
    return find_package() / '.mim' / 'tools' / COMMANDS[command]


def find_package() -> Path:
    """The folder of the package, which is not imported."""
    spec = find_spec('mmcednet')
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent
