"""Draws small datasets of textured shapes, for the demo and the tests.

Each image shows several overlapping objects of four classes on a textured background. Their diameters
range from 1/14 of the image size to slightly more than the image size. Each class has its own shape,
texture and typical hue; half of the objects have low contrast to the background::

    OUT/train/00000.png, OUT/val/00000.png, ...   images
    OUT/annotations/train.json, val.json          COCO format: boxes, polygons
    OUT/labels/train/00000.png, ...               semantic label maps: 0 background, 1.. the classes
    OUT/shapes.json                               the arguments of the dataset

With ``--single`` each image shows one object, for classification::

    OUT/train/disc/00000.png, ...                 one folder per class, the same for val

All random numbers come from numpy's ``RandomState``, whose streams are frozen: a seed gives the same
images on every machine.
"""

import json
import math
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

from mmcednet.files import atomic_folder

CLASSES = ('disc', 'square', 'triangle', 'star')
TEXTURES = ('dots', 'checks', 'stripes', 'plain')  # one per class; any of them for a background
# Offsets from the colour of the background, BGR, one per class
HUES = np.array([(-1, -1, 1), (-1, 1, -1), (1, -1, -1), (-1, 1, 1)])
MAX_ROTATION = math.pi / 6  # radians, in both directions
SIZE_RANGE = 16  # ratio of the largest diameter to the smallest
MIN_VISIBLE = 0.6  # share of an object's visible area that a newer object must leave visible
CONTOUR_SCALE = 4
MIN_IMAGE_SIZE = 64  # px
SPLITS = ('train', 'val', 'test')


def make_outline(name: str) -> np.ndarray:
    """Make the outline of a class, corners (k, 2), with diameter 2 and centred at the origin."""
    corners = {'disc': 32, 'square': 4, 'triangle': 3, 'star': 10}[name]
    # One corner points up, except that a square stands on an edge.
    first = -math.pi / 2 + (math.pi / 4 if name == 'square' else 0)
    angles = [first + 2 * math.pi * i / corners for i in range(corners)]
    radii = [0.45 if name == 'star' and i % 2 else 1.0 for i in range(corners)]
    return np.array([(r * math.cos(a), r * math.sin(a)) for r, a in zip(radii, angles)])


def paint(
    rng: np.random.RandomState, colour: np.ndarray, texture: str, image: np.ndarray, mask: np.ndarray
) -> None:
    """Fill a mask with a random texture, in place.

    Args:
        rng: Source of the texture's period, amplitude and direction.
        colour: Mean colour (3,) of the texture.
        texture: One of ``TEXTURES``.
        image: Image (H, W, 3) to paint on.
        mask: Mask (H, W), uint8, of the pixels to paint.
    """
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


def place_shape(rng: np.random.RandomState, name: str, diameter: float, size: int) -> np.ndarray:
    """Rotate, squeeze and place the shape of a class at random in a square image.

    Args:
        rng: Source of the random numbers.
        name: One of ``CLASSES``.
        diameter: In px.
        size: Height and width of the image in px.

    Returns:
        The corners (k, 2), x and y in whole px; some of them may be outside the image.
    """
    angle = rng.uniform(-MAX_ROTATION, MAX_ROTATION)
    cos, sin = math.cos(angle), math.sin(angle)
    points = make_outline(name) * (1.0, rng.uniform(0.85, 1.0)) @ np.array([(cos, sin), (-sin, cos)])
    centre = rng.uniform(0.35 * diameter, size - 0.35 * diameter, size=2)
    return np.rint(centre + points * diameter / 2).astype(np.int32)


def fill_polygon(corners: np.ndarray, size: int) -> np.ndarray:
    """Mask (S, S), uint8, of the pixels with centres inside a polygon (k, 2), by the even-odd rule.

    Exact, in integers of half a pixel; the result of OpenCV's fillPoly depends on its version.
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
    """Draw a textured image (S, S, 3); returns it and its mean colour (3,)."""
    colour = rng.randint(90, 166, size=3)
    image = np.empty((size, size, 3), np.int64)
    paint(rng, colour, TEXTURES[rng.randint(len(TEXTURES))], image, np.ones((size, size), np.uint8))
    return image, colour


def sample_colour(rng: np.random.RandomState, class_id: int, background: np.ndarray) -> np.ndarray:
    """Sample the colour (3,) of an object; half of the objects have low contrast to the background."""
    contrast = rng.randint(40, 60) if rng.randint(2) else rng.randint(60, 90)
    return background + contrast * HUES[class_id] + rng.randint(-15, 16, size=3)


def add_noise(rng: np.random.RandomState, image: np.ndarray) -> np.ndarray:
    """Add grey noise to an image (H, W, 3) and convert it to uint8."""
    image = image + rng.randint(-5, 6, size=(*image.shape[:2], 1))
    return image.clip(0, 255).astype(np.uint8)


def draw_image(
    rng: np.random.RandomState, size: int
) -> tuple[np.ndarray, np.ndarray, list[tuple[int, np.ndarray]]]:
    """Draw one image with its ground truth.

    Returns:
        The image (S, S, 3), uint8, BGR; its label map (S, S), uint8; and for each object the index of
        its class in ``CLASSES`` and the mask (S, S), uint8, of its visible part.
    """
    image, background = draw_background(rng, size)
    owner: np.ndarray = np.zeros((size, size), np.uint8)  # 0: background, i: the i-th object
    class_ids: list[int] = []
    smallest = size / 14
    diameters = smallest * np.exp(rng.uniform(0, math.log(SIZE_RANGE), size=rng.randint(3, 9)))
    for diameter in sorted(diameters, reverse=True):  # small objects in front of large ones
        class_id = rng.randint(len(CLASSES))
        colour = sample_colour(rng, class_id, background)
        mask = fill_polygon(place_shape(rng, CLASSES[class_id], diameter, size), size)
        candidate = np.where(mask, len(class_ids) + 1, owner)
        if all(
            np.count_nonzero(candidate == i + 1) >= MIN_VISIBLE * np.count_nonzero(owner == i + 1)
            for i in range(len(class_ids))
        ):
            owner = candidate.astype(np.uint8)
            class_ids.append(class_id)
            paint(rng, colour, TEXTURES[class_id], image, mask)
    image = add_noise(rng, image)
    labels = np.array([0, *(class_id + 1 for class_id in class_ids)], np.uint8)[owner]
    objects = [(class_id, (owner == i + 1).astype(np.uint8)) for i, class_id in enumerate(class_ids)]
    return image, labels, objects


def make_annotation(class_id: int, mask: np.ndarray) -> dict:
    """Make the COCO annotation of the visible part (H, W) of an object; its polygons have no holes."""
    x, y, width, height = cv2.boundingRect(mask)
    # Contours connect pixel centres; in an enlarged mask these are close to the real edge.
    window = mask[y : y + height, x : x + width]
    enlarged = window.repeat(CONTOUR_SCALE, 0).repeat(CONTOUR_SCALE, 1)
    contours, _ = cv2.findContours(enlarged, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    corners = [(contour.reshape(-1, 2) + 0.5) / CONTOUR_SCALE + (x, y) for contour in contours]
    polygons = [points.reshape(-1).tolist() for points in corners]
    return dict(
        category_id=class_id + 1,
        bbox=[x, y, width, height],
        area=int(mask.sum()),
        segmentation=polygons,
        iscrowd=0,
    )


def draw_split(folder: Path, split: str, number: int, size: int, seed: int) -> None:
    """Draw the images of one split and write them with their label maps and annotations."""
    for part in (folder / split, folder / 'labels' / split):
        part.mkdir(parents=True)
    images: list[dict] = []
    annotations: list[dict] = []
    for index in track(range(number), f'drawing {split}'):
        rng = np.random.RandomState([seed, SPLITS.index(split), index])
        image, labels, objects = draw_image(rng, size)
        name = f'{index:05d}.png'
        cv2.imwrite(str(folder / split / name), image)
        cv2.imwrite(str(folder / 'labels' / split / name), labels)
        images.append(dict(id=index, file_name=name, width=size, height=size))
        for class_id, mask in objects:
            ids = dict(id=len(annotations) + 1, image_id=index)
            annotations.append(ids | make_annotation(class_id, mask))
    content = dict(
        images=images,
        annotations=annotations,
        categories=[dict(id=i + 1, name=name) for i, name in enumerate(CLASSES)],
    )
    (folder / 'annotations').mkdir(exist_ok=True)
    (folder / 'annotations' / f'{split}.json').write_text(json.dumps(content))


def draw_single_split(folder: Path, split: str, number: int, size: int, seed: int) -> None:
    """Draw images of one object each, cycling through the classes, into one folder per class."""
    for name in CLASSES:
        (folder / split / name).mkdir(parents=True)
    for index in track(range(number), f'drawing {split}'):
        rng = np.random.RandomState([seed, SPLITS.index(split), index])
        class_id = index % len(CLASSES)
        name = CLASSES[class_id]
        image, background = draw_background(rng, size)
        colour = sample_colour(rng, class_id, background)
        mask = fill_polygon(place_shape(rng, name, size * rng.uniform(0.4, 0.9), size), size)
        paint(rng, colour, TEXTURES[class_id], image, mask)
        cv2.imwrite(str(folder / split / name / f'{index:05d}.png'), add_noise(rng, image))


def draw_dataset(
    out: str | Path,
    train: int,
    val: int,
    size: int,
    seed: int,
    single: bool = False,
    test: int = 0,
) -> Path:
    """Draw a dataset, unless ``out`` already has one that was drawn with the same arguments.

    Args:
        out: Folder of the dataset; it appears only once the dataset is complete.
        train: Number of training images, at least 1.
        val: Number of validation images, at least 1.
        size: Height and width of the images in px, at least 64.
        seed: From 0 to 2**32 - 1; determines the images.
        single: One object per image, for classification. Default: False.
        test: Number of test images. Default: 0, no test split.

    Returns:
        ``out``.

    Raises:
        ValueError: A number is out of range, or ``out`` exists and is not this dataset.
    """
    out = Path(out)
    limits = (('train', train, 1), ('val', val, 1), ('test', test, 0), ('size', size, MIN_IMAGE_SIZE))
    for name, value, minimum in limits:
        if value < minimum:
            raise ValueError(f'{name} {value} must be at least {minimum}')
    if not 0 <= seed < 2**32:
        raise ValueError(f'seed {seed} must be from 0 to 2**32 - 1')
    recipe = dict(train=train, val=val, size=size, seed=seed) | ({'single': True} if single else {})
    recipe |= {'test': test} if test else {}
    if out.exists():
        drawn_with = out / 'shapes.json'
        if drawn_with.exists() and json.loads(drawn_with.read_text()) == recipe:
            print(f'{out} already exists')
            return out
        raise ValueError(f'{out} exists but was not drawn with {recipe}; choose another folder')
    write_split = draw_single_split if single else draw_split
    numbers = {split: number for split, number in zip(SPLITS, (train, val, test)) if number}
    with atomic_folder(out) as unfinished:
        for split, number in numbers.items():
            write_split(unfinished, split, number, size, seed)
        (unfinished / 'shapes.json').write_text(json.dumps(recipe))
    contents = 'one folder per class' if single else 'boxes, polygons and label maps'
    print(f'{out}: {" + ".join(map(str, numbers.values()))} images, {contents}')
    return out
