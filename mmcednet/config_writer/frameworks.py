"""The table of the frameworks of mmdet, mmseg and mmpretrain: which of them CEDNet works in."""

import importlib.util
import multiprocessing
import tempfile
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from .features import describe
from .rules import get_type
from .trial import try_model
from .use_cednet import use_cednet

SMALL = dict(channels=(8, 16, 24, 32), blocks=(1, 1, 1, 1), num_stages=3)
TIME_LIMIT = 300  # seconds for one framework
ZOOS = {'mmdet': 'MMDetection', 'mmseg': 'MMSegmentation', 'mmpretrain': 'MMPretrain'}
# Folders of mmpretrain; the others have backbones of their own and the same few models
CLASSIFIERS = (
    *('convnext', 'csra', 'efficientnet', 'hrnet', 'mae', 'mocov2', 'resnet', 'swin_transformer'),
    'vision_transformer',
)
# Folders whose first config, by the rule of get_config, does not represent them
REPRESENTATIVES = {
    'mmdet/faster_rcnn': 'faster-rcnn_r50_fpn_1x_coco.py',
    'mmseg/swin': 'swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py',
    'mmseg/vit': 'vit_vit-b16_mln_upernet_8xb2-80k_ade20k-512x512.py',
    'mmpretrain/resnet': 'resnet50_8xb32_in1k.py',
}


class Row(NamedTuple):
    """A line of the table."""

    zoo: str
    folder: str
    config: str  # below the folder of the zoo's configs
    outputs: str  # what CEDNet returns
    result: str


def get_root(zoo: str) -> Path:
    """The folder of an installed toolbox's configs."""
    spec = importlib.util.find_spec(zoo)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / '.mim' / 'configs'


def list_folders(zoo: str) -> list[str]:
    """The folders of the table; each is a framework, a backbone or a dataset."""
    folders = sorted(path.name for path in get_root(zoo).iterdir() if path.is_dir())
    return [
        name for name in folders if name != '_base_' and (zoo != 'mmpretrain' or name in CLASSIFIERS)
    ]


def get_config(zoo: str, folder: str) -> Path | None:
    """The config that represents a folder: the one with the shortest name, with ResNet-50 if any.

    None if no config in the folder has a model.
    """
    root = get_root(zoo) / folder
    if f'{zoo}/{folder}' in REPRESENTATIVES:
        return root / REPRESENTATIVES[f'{zoo}/{folder}']
    for path in sorted(root.rglob('*.py'), key=get_order):
        try:
            model = Config.fromfile(path, import_custom_modules=False).get('model') or {}
        except Exception:  # some configs inherit from files that the wheel lacks
            continue
        if 'type' in model and 'TTA' not in get_type(model):
            return path
    return None


def get_order(path: Path) -> tuple[bool, int, str]:
    return ('r50' not in path.name and 'resnet50' not in path.name, len(path.name), path.name)


def try_framework(zoo: str, folder: str) -> Row:
    """Put CEDNet into the config that represents a folder, and try the model."""
    path = get_config(zoo, folder)
    if path is None:
        return Row(zoo, folder, '', '', 'no model')
    name = path.relative_to(get_root(zoo)).as_posix()
    with tempfile.TemporaryDirectory() as work:
        try:
            cfg = use_cednet(str(path), Path(work) / 'cednet.py', arch=SMALL)
        except ValueError as error:
            return Row(zoo, folder, name, '', f'cannot: {shorten(str(error).replace(f"{path}: ", ""))}')
    inner = cfg.model if 'backbone' in cfg.model else cfg.model.detector
    outputs = describe_outputs(inner.backbone)
    try:
        try_model(cfg)
    except Exception as error:
        own = try_own_backbone(path)
        return Row(zoo, folder, name, outputs, f'fails: {shorten(describe(error))}{own}')
    return Row(
        zoo, folder, name, outputs, 'works' if inner is cfg.model else 'works: its detector alone'
    )


def try_own_backbone(path: Path) -> str:
    """What the model does with the backbone that it comes with."""
    cfg = Config.fromfile(path)
    try:
        try_model(cfg)
    except Exception:
        return f'; so it does with its own {get_type(get_inner(cfg.model)["backbone"])}'
    return f'; works with its own {get_type(get_inner(cfg.model)["backbone"])}'


def get_inner(model: Any) -> Any:
    return model if 'backbone' in model else model['detector']


def describe_outputs(backbone: dict) -> str:
    """What CEDNet returns: a pyramid 'P3-P7' or raw levels 'c3, c5'."""
    if backbone.get('pyramid'):
        levels = backbone['pyramid']['levels']
        return f'P{levels[0]}-P{levels[-1]}'
    names = [f'c{level}' for level in backbone.get('out_levels', (2, 3, 4, 5))]
    if backbone.get('aux_stages'):
        names.append(f'd{backbone.get("aux_level", 3)} of earlier stages')
    return ', '.join(names)


def shorten(text: str, limit: int = 240) -> str:
    """A message that fits a cell of a table."""
    text = ' '.join(text.split()).replace('|', '/')
    return text if len(text) <= limit else f'{text[:limit]} ...'


def try_frameworks(
    frameworks: Sequence[tuple[str, str]], report: Callable[[Row], None] = lambda row: None
) -> list[Row]:
    """Try frameworks, each in a process of its own, one after another.

    Args:
        frameworks: Zoo and folder of each of them.
        report: Called with each row.
    """
    for zoo in {zoo for zoo, _ in frameworks}:
        importlib.import_module(f'{zoo}.models')  # once, for all processes
    rows = []
    for zoo, folder in frameworks:
        rows.append(try_in_process(zoo, folder))
        report(rows[-1])
    return rows


def try_in_process(zoo: str, folder: str) -> Row:
    context = multiprocessing.get_context('fork')
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=send_row, args=(sender, zoo, folder))
    process.start()
    sender.close()
    try:
        if receiver.poll(TIME_LIMIT):
            return receiver.recv()
        return Row(zoo, folder, '', '', f'fails: not finished after {TIME_LIMIT} seconds')
    except EOFError:
        return Row(zoo, folder, '', '', 'fails: the process ended, out of memory for example')
    finally:
        process.kill()
        process.join()


def send_row(sender: Any, zoo: str, folder: str) -> None:
    warnings.simplefilter('ignore')
    try:
        sender.send(try_framework(zoo, folder))
    except Exception:
        traceback.print_exc()
        raise
