"""Reads a file of COCO's format and checks its structure."""

import json
import math
import reprlib
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

LARGEST = 1e12  # of a number; its square is still finite in float32
CUT = reprlib.Repr()
CUT.maxstring = CUT.maxother = 80


def read_coco(ann_file: Path) -> dict:
    """Read a file and check that its images, categories and annotations have names and ids.

    Raises:
        ValueError: It does not exist, is not valid JSON in UTF-8, or not of COCO's format.
    """
    content = read_json(ann_file)
    if not isinstance(content, dict) or not content.get('images') or 'categories' not in content:
        raise ValueError(f'the annotation file {ann_file} has no images or no categories')
    check_format(content, ann_file)
    return content


def read_json(ann_file: Path) -> Any:
    """Read a file that may be of COCO's format.

    Raises:
        ValueError: It does not exist, or is not valid JSON in UTF-8.
    """
    if not ann_file.is_file():
        raise ValueError(f'the annotation file {ann_file} does not exist')
    try:
        # as text, as pycocotools reads it: JSON in UTF-16 or with a byte order mark is refused
        return json.loads(ann_file.read_text(encoding='utf-8'))
    except (ValueError, RecursionError) as error:
        raise ValueError(f'the annotation file {ann_file} is not valid JSON: {error}') from None


def check_format(content: dict, ann_file: Path) -> None:
    """Check that the images, categories and annotations of a file have names and ids.

    Raises:
        ValueError: They have not.
    """
    found = next(find_format_errors(content), None)
    if found:
        raise ValueError(f"the annotation file {ann_file} is not of COCO's format: {found}")


def find_format_errors(content: dict) -> Iterator[str]:
    """Find what cannot be compared with anything: values of wrong types, and ambiguous categories."""
    for kind in ('images', 'categories', 'annotations'):
        items = content.get(kind, [])
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            yield f'its {kind} must be a list of objects'
            return
        for item in items:
            for key in ('id', 'image_id', 'category_id'):
                if key in item and not is_id(item[key]):
                    yield f'the {key} {CUT.repr(item[key])} in its {kind} must be a number or a string'
        if len({isinstance(item.get('id'), str) for item in items}) > 1:
            yield f'some ids of its {kind} are strings and others are not, so that they have no order'
    for kind, key in (('images', 'file_name'), ('categories', 'name')):
        for item in content[kind]:
            if not isinstance(item.get(key), str):
                yield f'the {key} {CUT.repr(item.get(key))} in its {kind} must be a string'
    yield from find_ambiguous_categories(content)


def find_ambiguous_categories(content: dict) -> Iterator[str]:
    """Find ids and names that are missing or used twice, such as that of a group and of its class."""
    for key in ('id', 'name'):
        for value, count in Counter(item.get(key) for item in content['categories']).items():
            if value is None or count > 1:
                text = f'{count} categories have the {key} {CUT.repr(value)}'
                yield text + advise(content, key, value)


def advise(content: dict, key: str, value: Any) -> str:
    """Say which of the categories of the same name are to be removed, if some have no objects."""
    ids = [item.get('id') for item in content['categories'] if item.get(key) == value]
    used = {item.get('category_id') for item in content.get('annotations', ())}
    unused = [number for number in ids if number not in used]
    if key != 'name' or len(unused) != len(ids) - 1:
        return ''
    listed = ', '.join(map(repr, unused))
    return f'; remove those without objects from its categories, with the id {listed}'


def find_category_ids(content: dict, classes: Collection[str] = ()) -> set:
    """Find the ids of the categories whose names are among ``classes``. Default: of all categories."""
    return {item['id'] for item in content['categories'] if not classes or item['name'] in classes}


def is_number(value: Any) -> bool:
    """Whether a value is a finite number, of a size that can be computed with."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= LARGEST


def is_id(value: Any) -> bool:
    """Whether a value is a string or a number; ids may be as large as an int64, such as hashes."""
    large = type(value) is int and abs(value) < 2**63
    return large or is_number(value) or isinstance(value, str)


def find_mask_error(mask: Any, image: dict | None) -> str | None:
    """What is wrong with the ``segmentation`` of an object: polygons, or run lengths of its image.

    Args:
        mask: The value; an object without one has no mask.
        image: Entry of its image, with height and width; None if the file has none.
    """
    if not mask:
        return None
    if isinstance(mask, list):
        polygons = all(isinstance(part, list) and all(map(is_number, part)) for part in mask)
        return None if polygons else 'its segmentation must be a list of polygons, each of numbers'
    if not isinstance(mask, dict):
        return f'its segmentation {CUT.repr(mask)} must be polygons or run lengths'
    if image is None:
        return None
    size = [image['height'], image['width']]
    if mask.get('size') != size:
        return f'its mask has the size {CUT.repr(mask.get("size"))}, the image {size}'
    if count_pixels(mask.get('counts')) != math.prod(size):
        return f'the counts of its mask are not run lengths of an image of the size {size}'
    return None


def count_pixels(counts: Any) -> int | None:
    """The number of pixels of run lengths, compressed in a string or not; None if they are invalid."""
    if isinstance(counts, str):
        counts = decompress(counts)
    if isinstance(counts, list) and all(type(count) is int and count >= 0 for count in counts):
        return sum(counts)
    return None


def decompress(text: str) -> list[int] | None:
    """Decode pycocotools' strings: 5 bits per character from '0' on, and differences from the third on.

    ``pycocotools.mask.decode`` would take four times as long, as it computes the pixels, and its
    ``area`` accepts everything.

    Returns:
        The run lengths; None if the string ends in the middle of a number or has other characters.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            return None
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    return None if shift else counts
