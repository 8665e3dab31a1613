"""A pipeline whose errors name the image."""

from collections.abc import Sequence
from typing import Any

from mmengine.dataset import Compose
from mmengine.registry import TRANSFORMS

from mmcednet.images import IMAGE_ERRORS, ImageError, read_size


@TRANSFORMS.register_module()
class NamedImageErrors:
    """Applies transforms; an error of reading or resizing an image becomes one that names its file.

    mmcv's and OpenCV's errors do not say which file is damaged.

    Args:
        transforms: The pipeline, from loading the image on.
    """

    def __init__(self, transforms: Sequence[dict]) -> None:
        self.transforms = Compose(transforms)

    def __call__(self, results: dict) -> dict | None:
        """Apply the transforms to a sample with ``img_path``.

        Raises:
            ImageError: The image is damaged, has too many pixels, or cannot be resized.
            MemoryError: OpenCV's memory is not enough.
        """
        path = results.get('img_path')
        try:
            if isinstance(path, str) and '://' not in path:
                read_size(path)
            return self.transforms(results)
        except IMAGE_ERRORS as error:
            if 'Insufficient memory' in str(error):  # OpenCV's, which says nothing about the image
                raise MemoryError(str(error)) from None
            reason: Any = error
        except AssertionError as error:
            if not str(error).startswith('failed to load image'):  # mmcv's, of damaged files
                raise
            reason = 'it is not an image, or is damaged'
        raise ImageError(f'the image {path} cannot be used: {" ".join(str(reason).split())}', path)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(transforms={self.transforms})'
