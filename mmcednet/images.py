"""Image files: their size, from the header, and the errors of reading them."""

from pathlib import Path

import cv2
from PIL import Image, UnidentifiedImageError

MAX_PIXELS = 178_956_970  # Pillow's own limit, which some packages remove
ROTATED = (5, 6, 7, 8)  # EXIF orientations that swap width and height
ORIENTATION = 0x0112

# What OpenCV, Pillow and mmcv's and mmdet's transforms raise for a file that is damaged or no image, or
# whose resized height or width would be zero
IMAGE_ERRORS = (cv2.error, OSError, SyntaxError, Image.DecompressionBombError)


class ImageError(ValueError):
    """An image cannot be read or used; the message is one sentence that names the file.

    Args:
        message: The sentence.
        path: The file, for handlers in the same process.
    """

    def __init__(self, message: str, path: str | Path | None = None) -> None:
        super().__init__(message)
        self.path = path


def read_size(path: str | Path) -> tuple[int, int, bool] | None:
    """Width and height of an image as it is loaded, and whether it is rotated; None for other files.

    Reads the header only.

    Raises:
        ImageError: The image has more than 178,956,970 pixels. A file of a few kilobytes may have any
            number of them, and would fill the memory.
    """
    try:
        with Image.open(path) as image:
            # of other formats Pillow would decode the pixels first
            is_jpeg = image.format in ('JPEG', 'MPO')
            rotated = is_jpeg and image.getexif().get(ORIENTATION) in ROTATED
            width, height = image.size
    except Image.DecompressionBombError:
        width, height, rotated = MAX_PIXELS + 1, 1, False
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError):
        return None
    if width * height > MAX_PIXELS:
        raise ImageError(f'{path} has more than {MAX_PIXELS:,} pixels, so that it is not read', path)
    return (height, width, True) if rotated else (width, height, False)
