"""The same picture in many formats, depths and EXIF orientations."""

import io
from itertools import product
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

SIZE = (48, 32)  # px, width and height
BLOCK = 8  # px; JPEG keeps blocks of one colour
ORIENTATION = 0x0112
FORMATS = {'JPEG': '.jpg', 'PNG': '.png', 'TIFF': '.tif', 'WEBP': '.webp', 'BMP': '.bmp'}
MODES = ('1', 'L', 'P', 'LA', 'RGB', 'RGBA', 'CMYK', 'I;16', 'I', 'F')
DEEP = ('I;16', 'I', 'F', 'RGB16')
ORIENTATIONS = (1, 2, 3, 6, 8)


def draw_picture() -> np.ndarray:
    """Random grey blocks, (H, W, 3): each mode keeps them, apart from one bit."""
    blocks = np.random.RandomState(3).randint(0, 2, (SIZE[1] // BLOCK, SIZE[0] // BLOCK)) * 200 + 20
    return np.kron(blocks, np.ones((BLOCK, BLOCK)))[..., None].repeat(3, 2).astype(np.uint8)


def convert(mode: str) -> Image.Image:
    picture = draw_picture()
    if mode == 'I;16':
        return Image.fromarray(picture[..., 0].astype(np.uint16) * 257)
    if mode == 'I':
        return Image.fromarray(picture[..., 0].astype(np.int32) * 257)
    if mode == 'F':
        return Image.fromarray(picture[..., 0].astype(np.float32) / 255)
    return Image.fromarray(picture).convert(mode, dither=Image.Dither.NONE)


def turn(picture: np.ndarray, orientation: int) -> np.ndarray:
    """The picture as the EXIF standard shows what is stored with an orientation."""
    return {
        1: picture,
        2: picture[:, ::-1],
        3: picture[::-1, ::-1],
        6: np.rot90(picture, -1),
        8: np.rot90(picture),
    }[orientation]


def write_pictures(folder: Path) -> list[tuple[Path, str, int]]:
    """Write all combinations that Pillow can write: file, mode, orientation."""
    written = []
    for (name, suffix), mode, orientation in product(FORMATS.items(), MODES, ORIENTATIONS):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        settings = dict(exif=exif) if orientation != 1 else {}
        settings |= dict(lossless=True) if name == 'WEBP' else {}
        if mode in DEEP and name not in ('PNG', 'TIFF'):  # Pillow writes 8 bits
            continue
        content = io.BytesIO()
        try:
            convert(mode).save(content, name, **settings)
        except (OSError, ValueError):
            continue
        if name == 'BMP' and orientation != 1:  # has no EXIF data
            continue
        path = folder / f'{mode.replace(";", "")}_{orientation}{suffix}'
        path.write_bytes(content.getvalue())
        written.append((path, mode, orientation))
    for suffix in ('.png', '.tif'):  # which Pillow cannot write
        path = folder / f'RGB16_1{suffix}'
        cv2.imwrite(str(path), draw_picture().astype(np.uint16) * 257)
        written.append((path, 'RGB16', 1))
    return written
