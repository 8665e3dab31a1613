"""Damaged and unusual JPEG and PNG files, the same for the same seed."""

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

BOMB = 50_000  # px, width and height in the header
PNG, JPEG = '.png', '.jpg'
File = tuple[str, bytes]  # suffix and content


def make_image(random: Random, mode: str = 'RGB', size: tuple[int, int] | None = None) -> Image.Image:
    """Noise of (width, height) ``size``, by default 20 to 120 px."""
    width, height = size or (random.randint(20, 120), random.randint(20, 120))
    pixels = np.random.RandomState(random.randint(0, 9999)).randint(
        0, 256, (height, width, 3), np.uint8
    )
    return Image.fromarray(pixels).convert(mode)


def encode(image: Image.Image, suffix: str, **settings: object) -> File:
    file = io.BytesIO()
    image.save(file, {PNG: 'PNG', JPEG: 'JPEG'}[suffix], **settings)
    return suffix, file.getvalue()


def make_valid(random: Random) -> File:
    return encode(make_image(random), random.choice([PNG, JPEG]))


def truncate(random: Random) -> File:
    suffix, content = make_valid(random)
    return suffix, content[: random.randrange(len(content))]


def change_magic(random: Random) -> File:
    suffix, content = make_valid(random)
    return suffix, random.randbytes(random.randint(1, 8)) + content[8:]


def change_suffix(random: Random) -> File:
    suffix, content = make_valid(random)
    return {PNG: JPEG, JPEG: PNG}[suffix], content


def flip_bits(random: Random, first: int | None = None) -> File:
    """Flip up to 20 bits, of the first bytes or anywhere."""
    suffix, content = make_valid(random)
    changed = bytearray(content)
    for _ in range(random.randint(1, 20)):
        changed[random.randrange(first or len(changed))] ^= 1 << random.randrange(8)
    return suffix, bytes(changed)


def clear_part(random: Random) -> File:
    suffix, content = make_valid(random)
    start, length = random.randrange(len(content)), random.randint(1, 400)
    return suffix, content[:start] + bytes(length) + content[start + length :]


def make_text(random: Random) -> File:
    return random.choice([PNG, JPEG]), random.choice([b'', b'\n', b'no image', random.randbytes(999)])


def make_16_bit(random: Random) -> File:
    pixels = np.random.RandomState(random.randint(0, 9999)).randint(0, 65536, (40, 60), np.uint16)
    return encode(Image.fromarray(pixels), PNG)


def make_mode(random: Random) -> File:
    """Palette, bits, grey, grey with alpha, alpha, CMYK."""
    mode = random.choice(['P', '1', 'L', 'LA', 'RGBA', 'CMYK', 'CMYK', 'P'])
    settings = dict(transparency=3) if mode == 'P' and random.random() < 0.5 else {}
    return encode(make_image(random, mode), JPEG if mode == 'CMYK' else PNG, **settings)


def make_thin(random: Random) -> File:
    long = random.choice([2, 300, 30_000, 30_000])
    size = random.choice([(1, 1), (long, 1), (1, long)])
    return encode(make_image(random, size=size), random.choice([PNG, JPEG]))


def make_longer_than_jpeg(random: Random) -> File:
    """JPEG's largest width is 65,535."""
    return encode(Image.new('1', random.choice([(70_000, 40), (40, 70_000)])), PNG)


def make_animated(random: Random) -> File:
    frames = [make_image(random, size=(40, 30)) for _ in range(3)]
    return encode(frames[0], PNG, save_all=True, append_images=frames[1:])


def make_rotated(random: Random, damaged: bool = False) -> File:
    exif = Image.Exif()
    exif[0x0112] = random.randint(1, 8)
    data = exif.tobytes()
    if damaged:
        data = bytearray(data[: random.randrange(6, len(data) + 1)])
        data[random.randrange(6, len(data)) if len(data) > 6 else 0] = random.randrange(256)
    return encode(make_image(random), JPEG, exif=bytes(data))


def change_png_header(width: int, height: int) -> File:
    content = encode(Image.new('RGB', (8, 8)), PNG)[1]
    header = b'IHDR' + struct.pack('>II', width, height) + content[24:29]
    return PNG, content[:12] + header + struct.pack('>I', zlib.crc32(header)) + content[33:]


def change_jpeg_header(width: int, height: int) -> File:
    content = encode(Image.new('RGB', (8, 8)), JPEG)[1]
    start = content.index(b'\xff\xc0') + 5  # of the frame header: marker, length, precision
    return JPEG, content[:start] + struct.pack('>HH', height, width) + content[start + 4 :]


def make_bomb(random: Random) -> File:
    """A small file whose header says that it has very many pixels, or none."""
    size = random.choice([(BOMB, BOMB), (BOMB, BOMB), (20_000, 20_000), (65_000, 4_000), (0, 9)])
    return random.choice([change_png_header, change_jpeg_header])(*size)


@cache
def compress_black() -> bytes:
    return encode(Image.new('1', (20_000, 20_000)), PNG)[1]


def make_true_bomb(random: Random) -> File:
    """400 million pixels in 50 KB."""
    return PNG, compress_black()


KINDS: dict[str, Callable[[Random], File]] = {
    'valid': make_valid,
    'truncated': truncate,
    'magic': change_magic,
    'suffix': change_suffix,
    'bits': flip_bits,
    'header': lambda random: flip_bits(random, 40),
    'cleared': clear_part,
    'text': make_text,
    '16-bit': make_16_bit,
    'mode': make_mode,
    'thin': make_thin,
    'long': make_longer_than_jpeg,
    'animated': make_animated,
    'rotated': make_rotated,
    'exif': lambda random: make_rotated(random, damaged=True),
    'bomb': make_bomb,
    'true-bomb': make_true_bomb,
}


def write_images(folder: Path, number: int) -> list[Path]:
    """Write ``number`` files, of all kinds in turn; their names start with the kind."""
    folder.mkdir(parents=True)
    random, paths = Random(0), []
    for index in range(number):
        kind = list(KINDS)[index % len(KINDS)]
        suffix, content = KINDS[kind](random)
        paths.append(folder / f'{kind}-{index:03d}{suffix}')
        paths[-1].write_bytes(content)
    return paths
