"""Trained models in Python: loaded from a file, called with images."""

from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import cv2
import numpy as np
from PIL import Image, ImageOps

from mmcednet.checkpoints.loading import load_checkpoint
from mmcednet.checkpoints.safe_loading import refuse_files
from mmcednet.checkpoints.stored_config import get_config
from mmcednet.launch.quiet import quiet_console

from .results import RESULTS, Classification, Detections, Segmentation

if TYPE_CHECKING:
    from .predict import Predictor

ImageLike: TypeAlias = str | Path | np.ndarray | Image.Image
AnyResult: TypeAlias = Detections | Segmentation | Classification
LOADING = Lock()  # the console, of which a part is left out meanwhile, is that of all threads
DRAWING = Lock()  # of all models: the toolboxes draw with matplotlib, which has a state, too


class Model:
    """A trained model, see :func:`load`. Calls from several threads wait for each other.

    Attributes:
        task: 'detector', 'segmenter' or 'classifier'.
        classes: Names of the classes; None if neither config nor checkpoint has them.
        predictor: The model in the inferencer of its toolbox.
    """

    def __init__(self, predictor: 'Predictor') -> None:
        self.predictor = predictor
        self.task = predictor.task
        self.classes = predictor.classes
        self._lock = Lock()  # the inferencer has a state

    @overload
    def __call__(self, images: ImageLike, score: float = 0.3) -> AnyResult: ...

    @overload
    def __call__(self, images: list[Any] | tuple[Any, ...], score: float = 0.3) -> list[AnyResult]: ...

    def __call__(
        self, images: ImageLike | list[Any] | tuple[Any, ...], score: float = 0.3
    ) -> AnyResult | list[AnyResult]:
        """Predict on an image, or on each of several, one after the other.

        Args:
            images: A file, a PIL image, an array (H, W, 3) in uint8 and BGR as ``cv2.imread`` returns,
                or a list or tuple of these.
            score: For detectors: the lowest score of a detection, in [0, 1]. Default: 0.3.

        Returns:
            The prediction, or a list of them.

        Raises:
            FileNotFoundError: A file does not exist.
            ValueError: A file is not an image that can be read; an array is of another shape or type;
                an image is empty, or too narrow to be resized for the network; ``score`` is not in
                [0, 1].
        """
        if not 0 <= score <= 1:
            raise ValueError(f'score {score} must be in [0, 1]')
        if isinstance(images, (list, tuple)):
            return [self.predict(image, score) for image in images]
        return self.predict(images, score)

    def predict(self, image: ImageLike, score: float) -> AnyResult:
        """Predict on one image; see :meth:`__call__`."""
        pixels = read_pixels(image)
        # the network's pipeline reads files itself, as in tools/infer.py
        given = str(image) if isinstance(image, (str, Path)) else pixels
        try:
            with self._lock:
                (sample,) = self.predictor.predict([given])
        except cv2.error:  # a side would be 0 px
            height, width = pixels.shape[:2]
            name = f'{image} ' if isinstance(image, (str, Path)) else 'an image '
            raise ValueError(
                f'{name}has {width}x{height} px, which cannot be resized for the network'
            ) from None
        selected = self.predictor.select(sample, score)
        return RESULTS[self.task](self.predictor, pixels, selected, self.draw)

    def draw(self, image: np.ndarray, sample: Any) -> np.ndarray:
        """Draw a sample of the toolbox into an image (H, W, 3), uint8, RGB; return a new one."""
        with DRAWING:
            return self.predictor.draw(image, sample)

    def __repr__(self) -> str:
        return f'<Model: {self.task} with {len(self.classes or ())} classes>'


def load(
    checkpoint: str | Path,
    config: str | Path | None = None,
    device: str | None = None,
    amp: bool = False,
    cuda_graph: bool = False,
) -> Model:
    """Load a trained detector, segmenter or classifier.

    Args:
        checkpoint: File of a training, or written by ``mmcednet publish``. It cannot run code: from now
            on mmengine's loader refuses files that could, in this process, unless the environment
            variable TORCH_FORCE_WEIGHTS_ONLY_LOAD is 0.
        config: Config file of mmdet, mmseg or mmpretrain. Default: the config in the checkpoint, which
            is read as data.
        device: Such as 'cpu' or 'cuda:0'. Default: the GPU if there is one.
        amp: Predict in bfloat16, on an older GPU in float16; a CPU needs instructions for bfloat16.
            Default: False.
        cuda_graph: On a GPU, replay the kernels of each image size. Default: False.

    Raises:
        ValueError: The checkpoint is damaged, could run code, has no config, is one of another model or
            has other classes; the config does not exist or is of another toolbox; the device does not
            exist, or lacks what ``amp`` or ``cuda_graph`` need.
        FileNotFoundError: The checkpoint does not exist.
    """
    path = str(checkpoint)
    with LOADING, quiet_console():
        from .predict import load_predictor  # needs mmcv, which plain PyTorch does without

        refuse_files()
        given = str(config) if config is not None else get_config(load_checkpoint(path), path)
        return Model(load_predictor(given, path, device, amp, cuda_graph))


def read_pixels(image: ImageLike) -> np.ndarray:
    """Return an image as an array (H, W, 3), uint8, BGR; see :meth:`Model.__call__`."""
    if isinstance(image, (str, Path)):
        from .inputs import read_image  # needs mmcv

        if Path(image).is_dir():
            raise ValueError(f'{image} is a folder; pass its images, or use mmcednet infer')
        if not Path(image).is_file():
            raise FileNotFoundError(f'{image} does not exist')
        return read_image(image)
    if isinstance(image, Image.Image):
        if image.mode[0] in 'IF':  # which Pillow would clip
            raise ValueError(
                f'an image has the mode {image.mode}, of more than 8 bits per channel; scale it to 0 '
                f'to 255 and convert it to 8 bits'
            )
        turned = ImageOps.exif_transpose(image).convert('RGB')
        image = np.ascontiguousarray(np.asarray(turned)[..., ::-1])
    if not isinstance(image, np.ndarray):
        raise ValueError(f'an image must be a file, a PIL image or an array, not a {type(image)}')
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            f'an image has the shape {image.shape} and the type {image.dtype}; it must be (H, W, 3) in '
            'BGR and uint8'
        )
    if image.size == 0:
        raise ValueError(f'an image has the shape {image.shape}, so that it is empty')
    return image
