"""What can be known to fail is said before the long part starts, in a sentence."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from mmengine.config import Config
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import CheckpointLoader
from torch import nn

from .models import CEDNet
from .models.pretrained import state_dict_of

REMOTE = '://'


def check_data(cfg: Config, *loaders: str) -> None:
    """Check the annotation files and images of COCO-format data sets, the folders of others.

    Args:
        cfg: Config with the data loaders.
        loaders: Which of them: 'train', 'val', 'test'.

    Raises:
        ValueError: A folder or an annotation file is missing, that is no JSON or has no annotations
            of the config's classes, or an image that it names is not there.
    """
    checked = set()
    for loader in loaders:
        for dataset in datasets_in(cfg.get(f'{loader}_dataloader')):
            files = (str(dataset.get('ann_file', '')), image_folder(dataset))
            remote = dataset.get('backend_args') is not None or REMOTE in files[0] + files[1]
            if remote or files in checked:
                continue
            checked.add(files)
            if files[0].endswith('.json'):
                check_coco(dataset, Path(joined(dataset, files[0])), Path(files[1]))
            elif files[0] and not os.path.exists(joined(dataset, files[0])):
                raise ValueError(f'the annotation file {joined(dataset, files[0])} is not there')
            elif not os.path.isdir(files[1]):
                raise ValueError(f'the image folder {files[1]} is not there')


def datasets_in(node: object) -> Iterator[dict]:
    """All data sets in a loader's config, through wrappers."""
    if isinstance(node, dict):
        if not {'ann_file', 'data_root', 'data_prefix'}.isdisjoint(node):
            yield node
        for value in node.values():
            yield from datasets_in(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from datasets_in(value)


def joined(dataset: dict, path: str) -> str:
    return os.path.join(dataset.get('data_root') or '', path)


def image_folder(dataset: dict) -> str:
    prefix = dataset.get('data_prefix') or dataset.get('split') or {}  # split: of mmpretrain's ImageNet
    if isinstance(prefix, str):
        return joined(dataset, prefix)
    return joined(dataset, prefix.get('img') or prefix.get('img_path') or '')


def check_coco(dataset: dict, ann_file: Path, images: Path) -> None:
    if not ann_file.is_file():
        raise ValueError(f'the annotation file {ann_file} is not there')
    try:
        content = json.loads(ann_file.read_bytes())
    except ValueError as error:
        raise ValueError(f'the annotation file {ann_file} is no JSON: {error}') from None
    if not isinstance(content, dict) or not content.get('images') or 'categories' not in content:
        raise ValueError(f'the annotation file {ann_file} has no images or no categories')
    if not dataset.get('test_mode') and not content.get('annotations'):
        raise ValueError(f'the annotation file {ann_file} has no annotations to train on')
    classes = (dataset.get('metainfo') or {}).get('classes')
    names = [category['name'] for category in content['categories']]
    if classes and not set(classes) & set(names):
        raise ValueError(f'the annotation file {ann_file} has none of the classes {tuple(classes)}')
    missing = missing_files(images / image['file_name'] for image in content['images'])
    if missing:
        raise ValueError(
            f'{ann_file} names {len(missing)} images that are not there, the first is {missing[0]}'
        )


def missing_files(paths: Iterable[Path]) -> list[Path]:
    """Those of the files that are not there."""
    # One listing for each folder: asking for 118,000 files one by one is slow on a cluster's disks.
    listings: dict[Path, set[str]] = {}
    missing = []
    for path in paths:
        if path.parent not in listings:
            there = path.parent.is_dir()
            listings[path.parent] = set(os.listdir(path.parent)) if there else set()
        if path.name not in listings[path.parent]:
            missing.append(path)
    return missing


def unwrapped(model: nn.Module) -> nn.Module:
    """The model itself, without what distributes it or tests it with augmentations."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def check_levels(model: nn.Module) -> None:
    """Check that the levels which CEDNet gives are those that the heads take.

    Raises:
        ValueError: They are not.
    """
    model = unwrapped(model)
    backbone = getattr(model, 'backbone', None)
    if not isinstance(backbone, CEDNet) or getattr(model, 'neck', None) is not None:
        return
    given = backbone.out_strides
    for name, taken in levels_taken(model).items():
        if given[: len(taken)] != taken or (name != 'roi_head' and len(given) != len(taken)):
            raise ValueError(
                f'the {name} takes levels of strides {taken}, but the backbone gives {given}; set '
                f'backbone.pyramid.levels to those levels'
            )
    number = getattr(model, 'num_feature_levels', len(given))  # of Deformable DETR
    if number != len(given):
        raise ValueError(
            f'the transformer takes num_feature_levels={number}, but the backbone gives {len(given)}; '
            f'set backbone.pyramid.levels to as many levels'
        )
    for name, head in heads(model, 'decode_head', 'auxiliary_head', 'panoptic_head'):
        check_features(name, head, backbone.out_channels)
        decoder = getattr(head, 'pixel_decoder', None)
        if hasattr(decoder, 'strides'):  # of Mask2Former
            check_pixel_decoder(name, decoder, backbone)


def heads(model: nn.Module, *names: str) -> Iterator[tuple[str, nn.Module]]:
    """The heads that a model has of those names, each with its name; there may be several of one."""
    for name in names:
        head = getattr(model, name, None)
        if head is not None:
            yield from ((name, part) for part in (head if isinstance(head, nn.ModuleList) else [head]))


def check_features(name: str, head: nn.Module, given: tuple[int, ...]) -> None:
    """Check the features that a segmenter's head picks, by their index, against those there are."""
    index, channels = getattr(head, 'in_index', None), getattr(head, 'in_channels', None)
    if index is None or channels is None:
        return
    picked = [index] if isinstance(index, int) else index
    there = [given[i] for i in picked if -len(given) <= i < len(given)]
    # One number for several features is their sum: they are concatenated.
    needed = [channels] if isinstance(channels, int) else list(channels)
    found = [sum(there)] if isinstance(channels, int) else there
    if len(there) < len(picked) or found != needed:
        raise ValueError(
            f'the {name} takes {channels} channels at in_index={index}, but the backbone gives '
            f'{given}; set {name}.in_channels and in_index to some of these (aux_stages=True adds more)'
        )


def check_pixel_decoder(name: str, decoder: nn.Module, backbone: CEDNet) -> None:
    """Check the raw levels that a pixel decoder takes; its convolutions begin with the deepest."""
    strides = tuple(decoder.strides)
    channels = tuple(conv.in_channels for conv in decoder.input_convs)
    given = backbone.out_channels[::-1][: len(channels)]
    if strides != backbone.out_strides or channels != given:
        raise ValueError(
            f'the {name} takes levels of strides {strides}, the deepest of {channels} channels, but '
            f'the backbone gives strides {backbone.out_strides} and {given} channels; set '
            f'{name}.in_channels and backbone.out_levels to match'
        )


def levels_taken(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Name of a detector's head -> the strides that it takes."""
    taken = {}
    for name in ('bbox_head', 'rpn_head'):
        generator = getattr(getattr(model, name, None), 'prior_generator', None)
        if generator is not None:
            taken[name] = tuple(stride[0] for stride in generator.strides)
    extractor = getattr(getattr(model, 'roi_head', None), 'bbox_roi_extractor', None)
    if isinstance(extractor, nn.ModuleList):  # of a cascade: one for each stage, all alike
        extractor = extractor[0]
    if extractor is not None:
        taken['roi_head'] = tuple(extractor.featmap_strides)
    return taken


def check_checkpoint(model: nn.Module, checkpoint: str) -> None:
    """Check that a checkpoint is one of ``model``, which would otherwise run with random weights.

    Raises:
        ValueError: It lacks weights of the model, or one is of another shape.
    """
    found = state_dict_of(CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu'))
    found = {key.removeprefix('module.'): value for key, value in found.items()}
    model = unwrapped(model)
    for key, param in model.state_dict().items():
        if key not in found:
            raise ValueError(f'{checkpoint} is of another model: it has no {key}')
        if found[key].shape != param.shape:
            raise ValueError(
                f'{checkpoint} is of another size: its {key} is {tuple(found[key].shape)}, '
                f'the model needs {tuple(param.shape)}'
            )
