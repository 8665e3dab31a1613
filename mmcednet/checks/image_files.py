"""Pre-flight check of image files: what their reader, OpenCV, cannot read or would lose."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mmcv import imfrombytes
from mmengine.logging import print_log
from PIL import Image

from mmcednet.config_files import get_type, iter_dicts
from mmcednet.images import IMAGE_ERRORS, ROTATED, ImageError, get_orientation, read_size
from mmcednet.wording import list_first

SAMPLE = 2000  # images whose header is read
DECODED = 100  # images of more than 8 bits, or with transparency, whose pixels are read
DARK = 2**13  # values of 16 bits of which less than 32 levels would be left
MAX_NAMED = 3  # files in a message

PAGES = 'have several pages or frames, of which the first is read'
DEPTH = 'have more than 8 bits per channel, of which the upper 8 are read'
TRANSPARENT = 'have transparent pixels, which are read as opaque'
TURNED = (
    'have an EXIF orientation that does not change their size: their annotations must be those of the '
    'image as it is shown, turned'
)
IGNORED = 'have an EXIF orientation, which is ignored'


@dataclass
class Findings:
    """What was found: the files of each warning, the kinds that can be read, the highest value."""

    warnings: dict[str, list[Path]] = field(default_factory=dict)
    kinds: set[tuple] = field(default_factory=set)
    decoded: int = 0
    highest: int | None = None

    def warn(self, text: str, path: Path) -> None:
        self.warnings.setdefault(text, []).append(path)


def reads_by_default(pipeline: object) -> bool:
    """Whether a pipeline reads its images with OpenCV, in colour; others are not checked."""
    return any(
        get_type(step) == 'LoadImageFromFile'
        and step.get('color_type', 'color') == 'color'
        and step.get('imdecode_backend', 'cv2') == 'cv2'
        for step in iter_dicts(pipeline)
    )


def check_image_files(paths: Sequence[Path], source: str) -> None:
    """Check a sample of the images that a data loader will read.

    What OpenCV loses is logged as warnings: pages, bits, transparency, orientations.

    Args:
        paths: The images.
        source: Where they are from, for the messages.

    Raises:
        ValueError: OpenCV cannot read an image that is not damaged, or its 8 bits would keep next to
            nothing of images with more.
    """
    findings = Findings()
    for path in paths[:: -(-len(paths) // SAMPLE)]:
        try:
            with Image.open(path) as image:
                look_at(image, path, findings)
        except UnreadableError:
            raise
        except Exception:  # Pillow raises any of them for damaged files, which other checks find
            continue
    deep = findings.warnings.get(DEPTH)
    if deep and findings.highest is not None and findings.highest < DARK:
        raise ValueError(
            f'{source}: {deep[0]} has 16 bits per channel, but the values of {len(deep)} such images '
            f'are at most {findings.highest}, of which the 8 bits that are read keep 0 to '
            f'{findings.highest >> 8}; save them with 8 bits per channel, scaled to 0 to 255'
        )
    for text, files in findings.warnings.items():
        names = list_first(files, MAX_NAMED)
        print_log(f'{source}: {len(files)} images {text}: {names}', 'current', logging.WARNING)


class UnreadableError(ImageError):
    """OpenCV cannot read an image, although it is not damaged."""


def look_at(image: Image.Image, path: Path, findings: Findings) -> None:
    """Find what is lost of an opened image; read its pixels if the header does not tell."""
    orientation = get_orientation(image)
    if orientation != 1 and image.format == 'WEBP':
        findings.warn(IGNORED, path)
    elif orientation in (2, 3, 4) or (orientation in ROTATED and image.width == image.height):
        findings.warn(TURNED, path)
    # MPO: a photograph with its preview
    if image.format != 'MPO' and getattr(image, 'n_frames', 1) > 1:
        findings.warn(PAGES, path)
    kind = (image.format, image.mode, image.info.get('compression'), is_deep(image))
    alpha = 'A' in image.getbands() or 'transparency' in image.info
    if is_deep(image):
        findings.warn(DEPTH, path)
    doubtful = (alpha or is_deep(image)) and findings.decoded < DECODED
    if kind in findings.kinds and not doubtful:
        return
    pixels = decode(image, path)
    if pixels is None:
        return
    findings.kinds.add(kind)
    findings.decoded += doubtful
    if is_deep(image):
        findings.highest = max(findings.highest or 0, int(pixels.max()))
    if alpha and has_transparency(pixels):
        findings.warn(TRANSPARENT, path)


def has_transparency(pixels: np.ndarray) -> bool:
    """Whether an image of any number of channels has pixels that are not opaque."""
    with_alpha = pixels.ndim == 3 and pixels.shape[2] == 4
    return with_alpha and bool((pixels[..., 3] < np.iinfo(pixels.dtype).max).any())


def is_deep(image: Image.Image) -> bool:
    """Whether an image has more than 8 bits per channel; Pillow's mode says so for one channel only."""
    tiles: Any = getattr(image, 'tile', ())
    return image.mode[0] in 'IF' or any(';16' in str(tile[3]) for tile in tiles)


def decode(image: Image.Image, path: Path) -> np.ndarray | None:
    """Read an image by OpenCV, with all of its channels and bits; None if it is damaged.

    Raises:
        UnreadableError: OpenCV cannot read it, but Pillow can; or they disagree about its size.
    """
    size = read_size(path)
    content = path.read_bytes()
    try:
        loaded, pixels = imfrombytes(content), imfrombytes(content, flag='unchanged')
    except IMAGE_ERRORS:
        loaded = pixels = None
    if loaded is not None and pixels is not None:
        if size is not None and size[:2] != loaded.shape[1::-1]:
            raise UnreadableError(
                f'{path} has {size[0]}x{size[1]} px by its header, but is read as {loaded.shape[1]}x'
                f'{loaded.shape[0]} px; save it again',
                path,
            )
        return pixels
    try:
        image.load()
    except (*IMAGE_ERRORS, ValueError):
        return None
    raise UnreadableError(
        f'{path}, {image.format} of mode {image.mode}, cannot be read by OpenCV, which loads them; '
        f'convert it to PNG or JPEG with 8 bits per channel',
        path,
    )
