"""Image files: listed by their suffixes, their sizes, label maps, and the errors of reading them."""

import io
import struct
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

# Of files that OpenCV reads, in lower case
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif', '.tiff', '.webp')
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


def has_image_suffix(path: Path) -> bool:
    """Whether a path ends as an image does, in lower or upper case; it is not opened."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def list_images(folder: Path, deep: bool = False) -> list[Path]:
    """List the images of a folder by their suffixes, sorted; none if it does not exist.

    Args:
        folder: The folder.
        deep: Whether to list those of the folders below it, too, but not of links to folders.
    """
    if not folder.is_dir():
        return []
    return sorted(filter(has_image_suffix, folder.rglob('*') if deep else folder.iterdir()))


def read_size(path: str | Path) -> tuple[int, int, bool] | None:
    """Width and height of an image as it is loaded, and whether it is rotated; None for other files.

    Reads the header only, unless an image that is neither JPEG nor TIFF has an EXIF orientation:
    versions of OpenCV differ in the formats that they turn.

    Raises:
        ImageError: The image has more than 178,956,970 pixels. A file of a few kilobytes may have any
            number of them, and would fill the memory.
    """
    try:
        with Image.open(path) as image:
            rotated = get_orientation(image) in ROTATED
            jpeg = image.format in ('JPEG', 'MPO')
            by_header = jpeg or image.format == 'TIFF' or not rotated
            # Pillow's size of a TIFF is turned already
            width, height = image.size[::-1] if jpeg and rotated else image.size
    except Image.DecompressionBombError:
        width, height, rotated, by_header = MAX_PIXELS + 1, 1, False, True
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError):
        return None
    if width * height > MAX_PIXELS:
        raise ImageError(f'{path} has more than {MAX_PIXELS:,} pixels, so that it is not read', path)
    if not by_header:
        from mmcv import imfrombytes  # not with the package, which plain torch can use

        try:
            loaded = imfrombytes(Path(path).read_bytes())
        except IMAGE_ERRORS:
            return None
        if loaded is None:
            return None
        rotated = loaded.shape[:2] != (height, width)
        height, width = loaded.shape[:2]
    return width, height, rotated


def get_orientation(image: Image.Image) -> int:
    """EXIF orientation of an opened image, from its header; 1 if it has none."""
    if image.format == 'TIFF':
        return image.tag_v2.get(ORIENTATION, 1)  # type: ignore[attr-defined]
    exif = Image.Exif()  # getexif() would decode the pixels of a PNG
    try:
        exif.load(image.info.get('exif', b''))
        return exif.get(ORIENTATION, 1)
    except (struct.error, SyntaxError, ValueError):  # OpenCV does not turn images with damaged data
        return 1


def read_label_map(path: str | Path) -> np.ndarray:
    """Read a label map as mmseg's ``LoadAnnotations`` does: of a palette, the indices.

    Returns:
        (H, W), the value of each pixel; of any integer type, although mmseg keeps 8 bits only.

    Raises:
        ImageError: The file cannot be read, or has more than the values that mmseg reads: several
            channels or pages, fractions, or an EXIF orientation, which mmseg ignores.
    """
    try:
        read_size(path)
        with Image.open(io.BytesIO(Path(path).read_bytes())) as image:
            values = np.array(image).squeeze()  # a TIFF is turned, and loses its orientation
            pages, orientation = getattr(image, 'n_frames', 1), image.getexif().get(ORIENTATION, 1)
    except (*IMAGE_ERRORS, ValueError) as error:  # Pillow raises any of these
        raise ImageError(f'the label map {path} cannot be read: {error}', path) from None
    if values.ndim != 2:
        problem = f'has the shape {values.shape}; it must be (H, W), of class ids'
    elif values.dtype.kind == 'f':
        problem = 'has values of floating point; they must be integers, the class ids'
    elif pages > 1:
        problem = f'has {pages} pages; it must have one'
    elif orientation != 1:
        problem = f'has the EXIF orientation {orientation}, which mmseg ignores; save it turned'
    else:
        return values.astype(np.uint8) if values.dtype == bool else values
    raise ImageError(f'the label map {path} {problem}', path)


def find_values(label_map: np.ndarray) -> list[int]:
    """The values that occur in a label map, in ascending order."""
    if label_map.dtype == np.uint8:  # ten times as fast
        return np.flatnonzero(np.bincount(label_map.ravel(), minlength=256)).tolist()
    return np.unique(label_map).tolist()
