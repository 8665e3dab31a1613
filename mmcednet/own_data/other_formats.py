"""Recognises annotations that are to be converted, and names the command."""

import shlex
from pathlib import Path

from mmcednet.checks.coco_format import read_json
from mmcednet.data.split_names import get_split

from .label_maps import has_label_maps

DEPTH = 2  # annotation files and image folders are searched this deep


def name_command(folder: Path) -> str:
    """Name the command that converts the annotations of a folder, which has none that can be used.

    Returns:
        A sentence, without a full stop.
    """
    if has_label_maps(folder):
        return 'it has label maps: use --framework upernet'
    return recognise_format(folder) or (
        "write annotations in COCO's format, or convert those that you have with mmcednet voc-to-coco, "
        'yolo-to-coco or labelme-to-coco'
    )


def recognise_format(folder: Path) -> str | None:
    """The command for the annotations of a folder; None if they are of no known format."""
    for suffix, recognise in (
        ('.json', recognise_json),
        ('.xml', recognise_xml),
        ('.txt', recognise_txt),
    ):
        for path in list_files(folder, suffix):
            if found := recognise(path, folder):
                return found
    return None


def list_files(folder: Path, suffix: str) -> list[Path]:
    """List the files with a suffix in a folder and the folders below it, ``DEPTH`` deep."""
    return sorted(
        path for depth in range(DEPTH + 1) for path in folder.glob('*/' * depth + f'*{suffix}')
    )


def recognise_json(path: Path, folder: Path) -> str | None:
    """The command for a JSON file of LabelMe, or a single one of COCO."""
    content = read_json(path)
    if not isinstance(content, dict):
        return None
    if 'shapes' in content and 'imagePath' in content:
        command = write_command('labelme-to-coco', folder)
        return f'it has annotations of LabelMe: convert them with {command}'
    if {'images', 'annotations', 'categories'} <= set(content):
        move, source = '', path
        if get_split(path, folder):  # it would stay the file of this split
            source = folder / 'all.json'
            move = f'move it to {source} and '
        return f'if {path} is of all images, {move}split it with {write_command("split-coco", source)}'
    return None


def recognise_xml(path: Path, folder: Path) -> str | None:
    """The command for an XML file of Pascal VOC."""
    if '<annotation' not in path.read_text(errors='replace'):
        return None
    return f'it has annotations of Pascal VOC: convert them with {write_command("voc-to-coco", folder)}'


def recognise_txt(path: Path, folder: Path) -> str | None:
    """The command for a text file of YOLO."""
    lines = path.read_text(errors='replace').split('\n')
    try:
        values = [float(value) for value in next((line for line in lines if line.strip()), '').split()]
    except ValueError:
        return None
    if len(values) < 5:
        return None
    return f'it has labels of YOLO: convert them with {write_command("yolo-to-coco", folder)}'


def write_command(command: str, path: Path) -> str:
    return f'mmcednet {command} {shlex.quote(str(path))}'
