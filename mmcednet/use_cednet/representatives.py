"""Which config represents a folder of a toolbox's configs: a framework, a backbone or a dataset."""

from pathlib import Path

from mmengine.config import Config

from mmcednet.config_files import find_config_folder, get_type

# Folders whose first config, by the rule of find_representative, does not represent them
REPRESENTATIVES = {
    'mmdet/carafe': 'faster-rcnn_r50_fpn-carafe_1x_coco.py',
    'mmdet/cascade_rpn': 'cascade-rpn_faster-rcnn_r50-caffe_fpn_1x_coco.py',
    'mmdet/dcn': 'faster-rcnn_r50-dconv-c3-c5_fpn_1x_coco.py',
    'mmdet/dcnv2': 'faster-rcnn_r50-mdconv-c3-c5_fpn_1x_coco.py',
    'mmdet/faster_rcnn': 'faster-rcnn_r50_fpn_1x_coco.py',
    'mmseg/swin': 'swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py',
    'mmseg/vit': 'vit_vit-b16_mln_upernet_8xb2-80k_ade20k-512x512.py',
    'mmpretrain/resnet': 'resnet50_8xb32_in1k.py',
}


def list_folders(toolbox: str) -> list[str]:
    """List the folders of a toolbox's configs.

    Raises:
        ValueError: The toolbox is not installed.
    """
    folders = sorted(path.name for path in find_config_folder(toolbox).iterdir() if path.is_dir())
    return [name for name in folders if name != '_base_']


def find_representative(toolbox: str, folder: str) -> Path | None:
    """Find the config that represents a folder: that of the shortest name, with ResNet-50 if any.

    Args:
        toolbox: 'mmdet', 'mmseg' or 'mmpretrain'.
        folder: One of :func:`list_folders`.

    Returns:
        The config; None if no config in the folder has a model.
    """
    root = find_config_folder(toolbox) / folder
    if f'{toolbox}/{folder}' in REPRESENTATIVES:
        return root / REPRESENTATIVES[f'{toolbox}/{folder}']
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
