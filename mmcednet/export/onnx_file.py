"""Writes a trained model as an ONNX file."""

import copy
import json
import logging
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import nn

from mmcednet.inference.predict import Predictor
from mmcednet.models import fuse
from mmcednet.version import __version__

from .deformable_detr import DeformableDETRGraph
from .graphs import ClassifierGraph, DenseDetectorGraph, Graph, SegmenterGraph
from .operators import TRANSLATIONS, replace_adaptive_pools
from .two_stage import CascadeGraph, CascadeMaskGraph, MaskGraph, TwoStageGraph

# Attributes of models that contain their head
HEADS = ('roi_head', 'bbox_head', 'mask_head', 'panoptic_head', 'decode_head', 'head')
GRAPHS: dict[str, type[Graph]] = {
    'RetinaHead': DenseDetectorGraph,
    'StandardRoIHead': TwoStageGraph,
    'CascadeRoIHead': CascadeGraph,
    'DeformableDETRHead': DeformableDETRGraph,
    'UPerHead': SegmenterGraph,
    'CEDNetClsHead': ClassifierGraph,
    'LinearClsHead': ClassifierGraph,
}
WITH_MASKS: dict[type[Graph], type[Graph]] = {
    TwoStageGraph: MaskGraph,
    CascadeGraph: CascadeMaskGraph,
}
INPUT = 'images'
AXES = {0: 'batch', 1: 'height', 2: 'width'}
# Large, so that no feature map has one row or column, which torch would take as constant
TRACED_SIZE = (2, 960, 1408, 3)
GEOMETRY = ('Resize', 'ResizeEdge', 'CenterCrop')  # steps of test pipelines that change the size


def build_graph(model: nn.Module, color: str = 'bgr') -> Graph:
    """Build what is exported: a fused copy of a model, with preprocessing and decoding.

    Args:
        model: Detector, segmenter or classifier of a toolbox, in evaluation mode.
        color: Channels of the images, 'bgr' or 'rgb'. Default: 'bgr'.

    Raises:
        ValueError: The model's head is not supported.
    """
    head = next((getattr(model, name) for name in HEADS if hasattr(model, name)), None)
    name = type(head).__name__
    if name not in GRAPHS:
        raise ValueError(
            f'{type(model).__name__} with {name} cannot be exported; models with these heads can: '
            f'{", ".join(GRAPHS)}'
        )
    graph = GRAPHS[name]
    if getattr(head, 'with_mask', False):
        graph = WITH_MASKS[graph]
    model = fuse(copy.deepcopy(model))
    replace_adaptive_pools(model)
    return graph(model, color).eval()


def trace(graph: Graph) -> Any:
    """Translate a graph to ONNX, for any number and size of images.

    Returns:
        torch's ``ONNXProgram``.

    Raises:
        ValueError: torch's exporter cannot translate it.
    """
    for name in ('torch.onnx', 'torch.fx', 'onnx_ir', 'onnxscript'):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # they warn about their own code
    images = torch.zeros(TRACED_SIZE, dtype=torch.uint8)
    axes = (dict.fromkeys(AXES, torch.export.Dim.DYNAMIC),)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            exported = torch.export.export(
                graph,
                (images,),
                dynamic_shapes=axes,
                strict=False,
                prefer_deferred_runtime_asserts_over_guards=True,
            )
            return torch.onnx.export(
                exported,
                dynamo=True,
                input_names=[INPUT],
                output_names=list(graph.outputs),
                dynamic_shapes=(AXES,),
                custom_translation_table=TRANSLATIONS,
                verbose=False,
            )
    except Exception as error:  # of any of torch's layers
        reason = f'{type(error).__name__}: {error}'.strip().splitlines()[0]
        raise ValueError(f"torch's exporter cannot translate the model: {reason}") from error


def describe(graph: Graph, predictor: Predictor, color: str) -> dict[str, Any]:
    """What a user of the file must know, as values that JSON can represent.

    Returns:
        'task', 'classes', 'category_ids' (of the annotation file that the model was trained on, or
        None), 'palette' (one RGB colour per class), 'color' of the images, 'mean' and 'std' in the
        order of the network's channels, 'pipeline' (steps of the test pipeline that change the size),
        'config', 'mmcednet_version'; for segmenters also 'windows'; for detectors with masks
        'mask_threshold'.

    Raises:
        ValueError: A step of the test pipeline cannot be described.
    """
    cfg, model = predictor.cfg, predictor.inferencer.model
    metadata: dict[str, Any] = dict(
        task=graph.task,
        classes=predictor.classes,
        category_ids=predictor.category_ids,
        palette=find_palette(getattr(model, 'dataset_meta', None)),
        color=color,
        mean=graph.input.mean.flatten().tolist(),
        std=graph.input.std.flatten().tolist(),
        pipeline=list(find_geometry(cfg)),
        config=Path(cfg.filename).name,
        mmcednet_version=__version__,
    )
    test_cfg: Any = {} if graph.task == 'classifier' else model.test_cfg
    if graph.task == 'segmenter' and test_cfg.get('mode') == 'slide':
        metadata['windows'] = dict(size=test_cfg.crop_size, stride=test_cfg.stride)
    if 'masks' in graph.outputs:
        metadata['mask_threshold'] = test_cfg.rcnn.mask_thr_binary
    return metadata


def find_palette(metainfo: dict[str, Any] | None) -> list[list[int]] | None:
    """The dataset's colours, (classes, 3) in RGB; None if it has none."""
    palette = (metainfo or {}).get('palette')
    if palette is None or isinstance(palette, str):  # mmdet also has 'random'
        return None
    return [[int(value) for value in color] for color in palette]


def find_geometry(cfg: Config) -> Iterable[dict[str, Any]]:
    """The steps of the test pipeline that change an image's size, sizes as [width, height].

    Raises:
        ValueError: One has settings that are not supported.
    """
    dataset = cfg.test_dataloader.dataset
    while 'pipeline' not in dataset and 'dataset' in dataset:
        dataset = dataset.dataset
    for step in dataset.get('pipeline') or ():
        kind = step['type'].split('.')[-1]
        if kind in GEOMETRY:
            yield describe_step(dict(step.to_dict(), type=kind))


def describe_step(step: dict[str, Any]) -> dict[str, Any]:
    """A step of ``GEOMETRY``, its size as [width, height]; ResizeEdge has a single side."""
    name = 'crop_size' if step['type'] == 'CenterCrop' else 'scale'
    size = step.get(name)
    if size is None or step.get('edge', 'short') != 'short' or step.get('auto_pad'):
        raise ValueError(
            f'the step {step} of the test pipeline cannot be described in the file: it needs {name}, '
            f"no auto_pad, and no other edge than 'short'"
        )
    if step['type'] == 'ResizeEdge':
        return step
    return step | {name: [size, size] if isinstance(size, int) else list(size)}


def add_metadata(program: Any, metadata: dict[str, Any]) -> None:
    """Write metadata into an ``ONNXProgram``: strings as they are, everything else as JSON."""
    for key, value in metadata.items():
        program.model.metadata_props[key] = value if isinstance(value, str) else json.dumps(value)
