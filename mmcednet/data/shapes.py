"""Draws small data sets of textured shapes, for demos and tests: boxes, polygons, label maps, classes.

Objects of four classes, from 1/14 of the image to a little more than all of it, overlap on a textured
background. A class has its shape, its texture and a hue that it tends to; half of the objects differ
little from the background. Small and large objects both count::

    OUT/train/00000.png, OUT/val/00000.png, ...   images
    OUT/annotations/train.json, val.json          COCO format: boxes, polygons
    OUT/labels/train/00000.png, ...               semantic label maps: 0 background, 1.. the classes
    OUT/shapes.json                               what the data set was drawn with

With ``--single`` each image has one object, for classification::

    OUT/train/disc/00000.png, ...                 a folder for each class, the same for val

The random numbers are those of numpy's ``RandomState``, whose streams are frozen: a seed gives the
same data on every machine.
"""

import argparse
import json
import math
import shutil
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

CLASSES = ('disc', 'square', 'triangle', 'star')
TEXTURES = ('dots', 'checks', 'stripes', 'plain')  # of the classes, and of backgrounds
HUES = np.array([(-1, -1, 1), (-1, 1, -1), (1, -1, -1), (-1, 1, 1)])  # BGR: what classes tend to
TILT = math.pi / 6
SIZE_RANGE = 16
MIN_VISIBLE = 0.6
ENLARGED = 4
MIN_IMAGE = 64


def outline(kind: str) -> np.ndarray:
    """Corners (k, 2) of a shape of diameter 2 around the origin."""
    corners = {'disc': 32, 'square': 4, 'triangle': 3, 'star': 10}[kind]
    first = -math.pi / 2 + (math.pi / 4 if kind == 'square' else 0)  # a corner up; a square lies flat
    angles = [first + 2 * math.pi * i / corners for i in range(corners)]
    radii = [0.45 if kind == 'star' and i % 2 else 1.0 for i in range(corners)]
    return np.array([(r * math.cos(a), r * math.sin(a)) for r, a in zip(radii, angles)])


def paint(
    rng: np.random.RandomState, colour: np.ndarray, texture: str, image: np.ndarray, mask: np.ndarray
) -> None:
    """Paint the mask (H, W) of an image (H, W, 3) in a colour with a texture around it."""
    period, amplitude = rng.randint(4, 13), rng.randint(4, 20)
    dx, dy = rng.randint(-2, 3), rng.randint(1, 3)
    left, top, width, height = cv2.boundingRect(mask)
    y, x = np.mgrid[top : top + height, left : left + width]
    if texture == 'plain':
        pattern = np.ones((height, width), bool)
    elif texture == 'stripes':
        pattern = (x * dx + y * dy) // period % 2
    elif texture == 'checks':
        pattern = (x // period + y // period) % 2
    else:
        pattern = (x % period - period // 2) ** 2 + (y % period - period // 2) ** 2 < period**2 // 6
    surface = colour + amplitude * np.where(pattern, 1, -1)[..., None]
    window = image[top : top + height, left : left + width]
    np.copyto(window, surface, where=mask[top : top + height, left : left + width, None] > 0)


def placed(rng: np.random.RandomState, kind: str, diameter: float, size: int) -> np.ndarray:
    """The corners (k, 2), integer px, of a shape turned, squeezed and put somewhere."""
    angle = rng.uniform(-TILT, TILT)
    cos, sin = math.cos(angle), math.sin(angle)
    points = outline(kind) * (1.0, rng.uniform(0.85, 1.0)) @ np.array([(cos, sin), (-sin, cos)])
    centre = rng.uniform(0.35 * diameter, size - 0.35 * diameter, size=2)
    return np.rint(centre + points * diameter / 2).astype(np.int32)


def filled(corners: np.ndarray, size: int) -> np.ndarray:
    """Mask (S, S) of the pixels whose centres are inside a polygon (k, 2), by the even-odd rule.

    In integers, in half px: OpenCV's fillPoly differs by a few pixels between its versions.
    """
    left, top = corners.min(0).clip(0)
    right, bottom = corners.max(0).clip(max=size)
    y, x = 2 * np.mgrid[top:bottom, left:right] + 1
    inside = np.zeros(x.shape, bool)
    for (x1, y1), (x2, y2) in zip(2 * corners, 2 * np.roll(corners, -1, axis=0)):
        to_the_left = (x - x1) * abs(y2 - y1) < (y - y1) * (x2 - x1) * np.sign(y2 - y1)
        inside ^= ((y1 > y) != (y2 > y)) & to_the_left
    mask = np.zeros((size, size), np.uint8)
    mask[top:bottom, left:right] = inside
    return mask


def draw_background(rng: np.random.RandomState, size: int) -> tuple[np.ndarray, np.ndarray]:
    """A textured image (S, S, 3) and its colour (3,)."""
    colour = rng.randint(90, 166, size=3)
    image = np.empty((size, size, 3), np.int64)
    paint(rng, colour, TEXTURES[rng.randint(len(TEXTURES))], image, np.ones((size, size), np.uint8))
    return image, colour


def object_colour(rng: np.random.RandomState, kind: int, background: np.ndarray) -> np.ndarray:
    """Colour (3,) of an object; half of them have nearly that of the background."""
    contrast = rng.randint(40, 60) if rng.randint(2) else rng.randint(60, 90)
    return background + contrast * HUES[kind] + rng.randint(-15, 16, size=3)


def finished(rng: np.random.RandomState, image: np.ndarray) -> np.ndarray:
    """With noise, in 8 bits."""
    image = image + rng.randint(-5, 6, size=(*image.shape[:2], 1))
    return image.clip(0, 255).astype(np.uint8)


def draw_image(
    rng: np.random.RandomState, size: int
) -> tuple[np.ndarray, np.ndarray, list[tuple[int, np.ndarray]]]:
    """One picture.

    Returns:
        The image (S, S, 3), its label map (S, S), and for each object its class and the mask (S, S)
        of what is seen of it.
    """
    image, background = draw_background(rng, size)
    owner = np.zeros((size, size), np.uint8)  # 0 background, i the i-th object
    kinds: list[int] = []
    smallest = size / 14
    diameters = smallest * np.exp(rng.uniform(0, math.log(SIZE_RANGE), size=rng.randint(3, 9)))
    for diameter in sorted(diameters, reverse=True):  # the small ones in front
        kind = rng.randint(len(CLASSES))
        colour = object_colour(rng, kind, background)
        mask = filled(placed(rng, CLASSES[kind], diameter, size), size)
        trial = np.where(mask, len(kinds) + 1, owner)
        if all(
            np.count_nonzero(trial == i + 1) >= MIN_VISIBLE * np.count_nonzero(owner == i + 1)
            for i in range(len(kinds))
        ):
            owner = trial.astype(np.uint8)
            kinds.append(kind)
            paint(rng, colour, TEXTURES[kind], image, mask)
    image = finished(rng, image)
    labels = np.array([0, *(kind + 1 for kind in kinds)], np.uint8)[owner]
    objects = [(kind, (owner == i + 1).astype(np.uint8)) for i, kind in enumerate(kinds)]
    return image, labels, objects


def annotation(kind: int, mask: np.ndarray) -> dict:
    """COCO's entry for what is seen of an object; holes in its polygons are filled."""
    x, y, width, height = cv2.boundingRect(mask)
    # Contours run through the centres of pixels; on an enlarged mask these are near the real edge.
    enlarged = mask[y : y + height, x : x + width].repeat(ENLARGED, 0).repeat(ENLARGED, 1)
    contours, _ = cv2.findContours(enlarged, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    polygons = [((c.reshape(-1, 2) + 0.5) / ENLARGED + (x, y)).reshape(-1).tolist() for c in contours]
    return dict(
        category_id=kind + 1,
        bbox=[x, y, width, height],
        area=int(mask.sum()),
        segmentation=polygons,
        iscrowd=0,
    )


def draw_split(folder: Path, split: str, number: int, size: int, seed: int) -> None:
    """Draw the images of one split and write them with their annotations."""
    for part in (folder / split, folder / 'labels' / split):
        part.mkdir(parents=True)
    images, annotations = [], []
    for index in track(range(number), f'drawing {split}'):
        rng = np.random.RandomState([seed, ('train', 'val').index(split), index])
        image, labels, objects = draw_image(rng, size)
        name = f'{index:05d}.png'
        cv2.imwrite(str(folder / split / name), image)
        cv2.imwrite(str(folder / 'labels' / split / name), labels)
        images.append(dict(id=index, file_name=name, width=size, height=size))
        for kind, mask in objects:
            entry = dict(id=len(annotations) + 1, image_id=index, **annotation(kind, mask))
            annotations.append(entry)
    content = dict(
        images=images,
        annotations=annotations,
        categories=[dict(id=i + 1, name=name) for i, name in enumerate(CLASSES)],
    )
    (folder / 'annotations').mkdir(exist_ok=True)
    (folder / 'annotations' / f'{split}.json').write_text(json.dumps(content))


def draw_single_split(folder: Path, split: str, number: int, size: int, seed: int) -> None:
    """Draw images of one object each, class after class, into a folder for each class."""
    for kind in CLASSES:
        (folder / split / kind).mkdir(parents=True)
    for index in track(range(number), f'drawing {split}'):
        rng = np.random.RandomState([seed, ('train', 'val').index(split), index])
        kind = index % len(CLASSES)
        image, background = draw_background(rng, size)
        colour = object_colour(rng, kind, background)
        mask = filled(placed(rng, CLASSES[kind], size * rng.uniform(0.4, 0.9), size), size)
        paint(rng, colour, TEXTURES[kind], image, mask)
        cv2.imwrite(str(folder / split / CLASSES[kind] / f'{index:05d}.png'), finished(rng, image))


def draw(out: str | Path, train: int, val: int, size: int, seed: int, single: bool = False) -> Path:
    """Draw a data set, or find it drawn with the same arguments.

    Args:
        out: Folder; it appears when the data set is whole.
        train, val: Number of images of the splits.
        size: Height and width of the images in px.
        seed: Another seed gives other images.
        single: One object per image, for classification. Default: False.

    Returns:
        ``out``.

    Raises:
        ValueError: A number is too small, or ``out`` is there and something else.
    """
    out = Path(out)
    for name, value, least in (('train', train, 1), ('val', val, 1), ('size', size, MIN_IMAGE)):
        if value < least:
            raise ValueError(f'{name} {value} must be at least {least}')
    if not 0 <= seed < 2**32:
        raise ValueError(f'seed {seed} must be from 0 to 2**32 - 1')
    recipe = dict(train=train, val=val, size=size, seed=seed) | ({'single': True} if single else {})
    if out.exists():
        made_with = out / 'shapes.json'
        if made_with.exists() and json.loads(made_with.read_text()) == recipe:
            print(f'{out} is there already')
            return out
        raise ValueError(f'{out} is there and was not drawn with {recipe}; choose another folder')
    unfinished = out.with_name(f'.{out.name}.unfinished')
    shutil.rmtree(unfinished, ignore_errors=True)
    draw_one = draw_single_split if single else draw_split
    draw_one(unfinished, 'train', train, size, seed)
    draw_one(unfinished, 'val', val, size, seed)
    (unfinished / 'shapes.json').write_text(json.dumps(recipe))
    unfinished.rename(out)
    contents = 'a folder for each class' if single else 'boxes, polygons and label maps'
    print(f'{out}: {train} + {val} images, {contents}')
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('out', help='folder of the data set')
    parser.add_argument('--train', type=int, default=1200, help='images to train on; default: 1200')
    parser.add_argument('--val', type=int, default=100, help='images to validate on; default: 100')
    parser.add_argument('--size', type=int, default=96, help='height and width, px; default: 96')
    parser.add_argument('--seed', type=int, default=0, help='default: 0')
    parser.add_argument('--single', action='store_true', help='one object per image')
    try:
        draw(**vars(parser.parse_args()))
    except ValueError as error:
        parser.error(str(error))


if __name__ == '__main__':
    main()
