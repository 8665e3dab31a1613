"""Models that predict: a config and a checkpoint in the inferencer of their toolbox."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from importlib.util import find_spec
from typing import Any, ClassVar

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS, TRANSFORMS, init_default_scope
from mmengine.structures import InstanceData
from torch import Tensor

from mmcednet.checkpoints.loading import get_category_ids, get_classes, load_checkpoint
from mmcednet.checks.checkpoint import check_checkpoint_classes, check_weights
from mmcednet.checks.limits import find_detection_limit
from mmcednet.config_files import iter_dicts, read_config
from mmcednet.launch.device import check_operators
from mmcednet.launch.prediction import accelerate_prediction, check_device
from mmcednet.visualization.colours import choose_colours, find_palette
from mmcednet.visualization.predictions import DEFAULT, Classes, Style, draw_detections, draw_label_map
from mmcednet.visualization.text import draw_legend

TOP = 5


class Predictor(ABC):
    """A model that predicts, and draws and describes its predictions.

    Attributes:
        task: 'detector', 'segmenter' or 'classifier'.
        cfg: The config.
        classes: Names of the classes; None if neither config nor checkpoint has them.
        category_ids: The classes' ids in the annotation file that the model was trained on; None if
            the checkpoint does not have them.
        limit: The setting that limits the predictions for an image, and its number; None without.
    """

    task: ClassVar[str]
    limit: tuple[str, int] | None = None

    def __init__(self, cfg: Config, checkpoint: str, device: str, metainfo: dict) -> None:
        """
        Args:
            cfg: Config of the class's toolbox.
            checkpoint: File.
            device: Such as 'cpu' or 'cuda:0'.
            metainfo: The dataset's, with classes, palette and category_ids, each None if unknown.
        """
        self.cfg = cfg
        self.palette: list[list[int]] | None = metainfo['palette']
        self.classes: tuple[str, ...] | None = metainfo['classes']
        self.category_ids: tuple[int | str, ...] | None = metainfo['category_ids']
        self.inferencer = self.build(cfg, checkpoint, device, metainfo)

    @abstractmethod
    def build(self, cfg: Config, checkpoint: str, device: str, metainfo: dict) -> Any:
        """Build the toolbox's inferencer."""

    def predict(self, images: list[str | np.ndarray]) -> list[Any]:
        """Run the network on one batch.

        Args:
            images: Paths, or images (H, W, 3) in uint8 and BGR, of one shape.

        Returns:
            A sample of the toolbox for each image, on the CPU.
        """
        (data,) = self.inferencer.preprocess(images, batch_size=len(images))
        return [sample.cpu() for sample in self.inferencer.forward(data)]

    def select(self, sample: Any, score: float, classes: Collection[int] | None = None) -> Any:
        """Copy a sample with the predictions that have at least ``score`` and are of ``classes``.

        Args:
            sample: Sample of the toolbox.
            score: Lowest score, for detectors.
            classes: Ids of classes, for detectors and segmenters. Default: all.
        """
        return sample

    @abstractmethod
    def draw(self, image: np.ndarray, sample: Any, style: Style = DEFAULT) -> np.ndarray:
        """Draw a prediction into an image (H, W, 3), uint8, RGB; return a new one.

        With a legend, the new one is wider.
        """

    @abstractmethod
    def describe(self, sample: Any) -> list[dict]:
        """Describe a prediction in values that JSON can represent."""

    def reaches_limit(self, sample: Any) -> bool:
        """Whether a sample has as many predictions as the limit, so that others may be missing."""
        return False

    def get_class_name(self, label: int) -> str:
        return self.classes[label] if self.classes else str(label)

    def get_drawn_classes(self, labels: np.ndarray) -> Classes:
        """Names and colours of all classes; if these are unknown, of as many as ``labels`` need."""
        number = len(self.classes) if self.classes else int(labels.max(initial=0)) + 1
        names = [self.get_class_name(label) for label in range(number)]
        colours = choose_colours(number) if self.palette is None else np.array(self.palette, np.uint8)
        return Classes(names, colours)

    def get_category_id(self, label: int) -> int | str:
        return self.category_ids[label] if self.category_ids else label + 1


class Detector(Predictor):
    """A detector of mmdet, with boxes or masks."""

    task = 'detector'

    def build(self, cfg: Config, checkpoint: str, device: str, metainfo: dict) -> Any:
        from mmdet.apis import DetInferencer

        self.limit = find_detection_limit(cfg.model)
        inferencer = DetInferencer(cfg, checkpoint, device, palette='random', show_progress=False)
        if self.classes:
            inferencer.model.dataset_meta.update(metainfo)
        return inferencer

    def predict(self, images: list[str | np.ndarray]) -> list[Any]:
        ((_, data),) = self.inferencer.preprocess(images, batch_size=len(images))
        samples = [sample.cpu() for sample in self.inferencer.forward(data)]
        if 'pred_instances' not in samples[0]:
            raise ValueError('the model predicts no instances; only boxes and masks are supported')
        return samples

    def select(self, sample: Any, score: float, classes: Collection[int] | None = None) -> Any:
        instances = sample.pred_instances
        keep = instances.scores >= score
        if classes is not None:
            keep &= torch.isin(instances.labels, torch.tensor(list(classes), dtype=torch.long))
        selected = sample.new()
        selected.pred_instances = instances[keep]
        return selected

    def reaches_limit(self, sample: Any) -> bool:
        return self.limit is not None and len(sample.pred_instances) >= self.limit[1]

    def draw(self, image: np.ndarray, sample: Any, style: Style = DEFAULT) -> np.ndarray:
        instances = sample.pred_instances
        labels = instances.labels.numpy()
        return draw_detections(
            image,
            self.get_drawn_classes(labels),
            labels,
            get_boxes(instances).numpy(),
            instances.scores.numpy(),
            np.asarray(instances.masks, bool) if 'masks' in instances else None,
            style,
        )

    def describe(self, sample: Any) -> list[dict]:
        """Detections in COCO's format: boxes (x, y, width, height) in pixels; masks as RLE."""
        from mmdet.structures.mask import encode_mask_results

        boxes = get_boxes(sample.pred_instances).tolist()
        instances = sample.pred_instances.numpy()
        masks = encode_mask_results(instances.masks) if 'masks' in instances else []
        entries = []
        for index, label in enumerate(instances.labels.tolist()):
            left, top, right, bottom = boxes[index]
            entry: dict[str, Any] = dict(
                category_id=self.get_category_id(label),
                category=self.get_class_name(label),
                bbox=[left, top, right - left, bottom - top],
                score=float(instances.scores[index]),
            )
            if masks:
                rle = masks[index]
                entry['segmentation'] = dict(size=rle['size'], counts=rle['counts'].decode())
            entries.append(entry)
        return entries


def get_boxes(instances: InstanceData) -> Tensor:
    """The boxes (N, 4) of mmdet's detections; of a model without a box head, those around the masks."""
    from mmdet.structures.mask import mask2bbox

    boxes = instances.bboxes
    if 'masks' in instances and not boxes.any():
        boxes = mask2bbox(torch.as_tensor(instances.masks))
    return boxes


class Segmenter(Predictor):
    """A segmenter of mmseg."""

    task = 'segmenter'

    def build(self, cfg: Config, checkpoint: str, device: str, metainfo: dict) -> Any:
        from mmseg.apis import MMSegInferencer

        inferencer = MMSegInferencer(cfg, checkpoint, device=device)
        # mmseg's visualizer takes no other keys
        inferencer.model.dataset_meta = {key: metainfo[key] for key in ('classes', 'palette')}
        return inferencer

    def select(self, sample: Any, score: float, classes: Collection[int] | None = None) -> Any:
        if classes is None:
            return sample
        selected = sample.clone()
        labels = selected.pred_sem_seg.data
        labels[~torch.isin(labels, torch.tensor(list(classes), dtype=torch.long))] = self.no_class
        return selected

    def draw(self, image: np.ndarray, sample: Any, style: Style = DEFAULT) -> np.ndarray:
        label_map = self.get_label_map(sample)
        return draw_label_map(image, self.get_drawn_classes(label_map), label_map, style)

    def describe(self, sample: Any) -> list[dict]:
        """The share of each class in the image, largest first."""
        label_map = self.get_label_map(sample)
        labels, counts = np.unique(label_map, return_counts=True)
        shares = sorted(zip((counts / label_map.size).tolist(), labels.tolist()), reverse=True)
        shown = {self.get_class_name(label): share for share, label in shares if label != self.no_class}
        return [dict(classes=shown)]

    @property
    def no_class(self) -> int:
        """The label of pixels that are not shown."""
        return len(self.classes or ())

    def get_label_map(self, sample: Any) -> np.ndarray:
        """The label map (H, W): an index into the classes for each pixel."""
        return sample.pred_sem_seg.data[0].numpy()


class Classifier(Predictor):
    """A classifier of mmpretrain."""

    task = 'classifier'

    def build(self, cfg: Config, checkpoint: str, device: str, metainfo: dict) -> Any:
        from mmpretrain.apis import ImageClassificationInferencer

        return ImageClassificationInferencer(cfg, checkpoint, device, classes=self.classes)

    def draw(self, image: np.ndarray, sample: Any, style: Style = DEFAULT) -> np.ndarray:
        scores = sample.pred_score.numpy()
        top = {label: f'{scores[label]:.2f}' for label in np.argsort(-scores)[:TOP].tolist()}
        names = [self.get_class_name(label) for label in range(len(scores))]
        return draw_legend(image, names, None, top) if style.legend else image.copy()

    def describe(self, sample: Any) -> list[dict]:
        """The labels of the highest scores, at most five."""
        scores, labels = sample.pred_score.sort(descending=True)
        top = zip(scores[:TOP].tolist(), labels[:TOP].tolist())
        return [dict(predictions=[dict(label=self.get_class_name(i), score=score) for score, i in top])]


# Default scope of a config -> its kind of model
PREDICTORS: dict[str, Callable[[Config, str, str, dict], Predictor]] = {
    'mmdet': Detector,
    'mmseg': Segmenter,
    'mmpretrain': Classifier,
}


def load_predictor(
    config: str | Config,
    checkpoint: str,
    device: str | None = None,
    amp: bool = False,
    cuda_graph: bool = False,
) -> Predictor:
    """Load a model.

    Args:
        config: Config of mmdet, mmseg or mmpretrain, or its file.
        checkpoint: Checkpoint file.
        device: Such as 'cpu' or 'cuda:0'. Default: the GPU if there is one.
        amp: Predict in low precision, see :func:`accelerate_prediction`. Default: False.
        cuda_graph: Replay CUDA graphs, see there. Default: False.

    Raises:
        ValueError: The config does not exist or is of another toolbox; the checkpoint is damaged, is
            one of another model or has other classes; the device does not exist, or lacks what ``amp``
            or ``cuda_graph`` need.
        FileNotFoundError: The checkpoint does not exist.
    """
    cfg = read_config(config) if isinstance(config, str) else config
    name = cfg.filename or f'the config in {checkpoint}'
    scope = cfg.get('default_scope')
    if scope not in PREDICTORS:
        raise ValueError(
            f'{name} has the default scope {scope!r}; choose one of: {", ".join(PREDICTORS)}'
        )
    if find_spec(scope) is None:
        raise ValueError(f'{name} needs {scope}, which is not installed')
    for setting, what in (('test_dataloader', 'how an image is read'), ('visualizer', 'what draws it')):
        if cfg.get(setting) is None:
            raise ValueError(f'{name} has no {setting}, which says {what}')
    device = choose_device(cfg, device)
    check_device(torch.device(device), amp, cuda_graph)
    # Otherwise mmengine prints its own report of weights that do not fit, before our sentence.
    MMLogger.get_instance('inference').setLevel('ERROR')
    loaded = load_checkpoint(checkpoint)
    init_default_scope(scope)
    name_transforms(cfg.test_dataloader)
    metainfo = read_metainfo(cfg)
    classes = get_classes(loaded)
    if classes and metainfo['classes']:
        check_checkpoint_classes(classes, metainfo['classes'], checkpoint)
    if classes and not metainfo['classes']:
        metainfo.update(classes=classes, palette=choose_colours(len(classes)).tolist())
    metainfo['category_ids'] = get_category_ids(loaded)
    cfg.visualizer.update(vis_backends=None, save_dir=None)  # it draws, and saves nothing
    # mmengine warns about each box that touches the border.
    warnings.filterwarnings('ignore', 'Warning: The .* is out of bounds')
    with warnings.catch_warnings():
        # about classes missing in the checkpoint: the config's are used
        warnings.simplefilter('ignore')
        predictor = PREDICTORS[scope](cfg, checkpoint, device, metainfo)
    check_weights(predictor.inferencer.model, loaded, checkpoint)
    accelerate_prediction(predictor.inferencer.model, amp, cuda_graph)
    return predictor


def name_transforms(loader: dict) -> None:
    """Replace transforms that are classes by their names, which the toolboxes' inferencers look for."""
    with TRANSFORMS.switch_scope_and_registry(None) as registry:  # of the default scope
        for step in iter_dicts(loader):
            kind = step.get('type')
            if isinstance(kind, type) and registry.get(kind.__name__) is kind:
                step['type'] = kind.__name__


def read_metainfo(cfg: Config) -> dict:
    """Classes and palette of the config's test dataset, each None if unknown; reads no annotations."""
    dataset = DATASETS.build(dict(cfg.test_dataloader.dataset, lazy_init=True))
    classes = dataset.metainfo.get('classes')
    palette = find_palette(dataset, cfg.test_dataloader.dataset)
    return dict(
        classes=tuple(classes) if classes else None,
        palette=None if palette is None else palette.tolist(),
    )


def choose_device(cfg: Config, device: str | None) -> str:
    """The device to run on; default: the GPU if there is one.

    Raises:
        ValueError: The device does not exist, or mmcv's operators do not run on it.
    """
    device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise ValueError(
            f"device {device!r} is unknown; choose for example 'cpu' or 'cuda:0'"
        ) from None
    if chosen.type == 'cuda':
        if (chosen.index or 0) >= torch.cuda.device_count():
            raise ValueError(
                f'device {device!r} is not there: {torch.cuda.device_count()} GPUs were found'
            )
        check_operators(cfg)
    return device
