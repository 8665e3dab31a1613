"""Damaged files of COCO's format, the same for the same seed."""

import copy
import json
import math
from collections.abc import Callable
from random import Random
from typing import Any

JUNK = (
    None, True, False, 0, 1, -1, 3, 99, 2.5, -7.5, math.nan, math.inf, -math.inf, 1e308, 10**400, '',
    '1', 'x', '\0', 'a' * 300, 'a/../b', [], [[]], [1], [1, 2, 3, 4], ['1', '2', '3', '4'], [None] * 4,
    {}, dict(size=[64, 64], counts='x'), dict(size=[64, 64], counts=[4096]), dict(size=[64, 64]),
    [[1, 2]], dict(size=[64, 64], counts=[9, -5, 4092]), dict(size=[10**6, 10**6], counts=[10**12]),
    [[1, 1, 9, 1, 9, 9, math.nan, 4]], [['1'] * 6],
)  # fmt: skip


def find_places(node: Any) -> list[tuple[Any, Any]]:
    """All (container, key) below a node."""
    items = (
        node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    )
    return [place for key, value in items for place in [(node, key), *find_places(value)]]


def choose(content: dict, random: Random) -> tuple[Any, Any]:
    """A random place; the depth is chosen first, as most values are coordinates."""
    top = random.choice([key for key in ('images', 'annotations', 'categories') if key in content])
    item = random.choice(content[top]) if isinstance(content[top], list) and content[top] else None
    places = find_places(item) if random.random() < 0.9 else [(content, top)]
    return random.choice(places or [(content, top)])


def replace(content: dict, random: Random) -> None:
    container, key = choose(content, random)
    container[key] = copy.deepcopy(random.choice(JUNK))


def delete(content: dict, random: Random) -> None:
    container, key = choose(content, random)
    del container[key]


def write_as_string(content: dict, random: Random) -> None:
    container, key = choose(content, random)
    container[key] = str(container[key])


def repeat(content: dict, random: Random) -> None:
    items = random.choice([value for value in content.values() if isinstance(value, list) and value])
    items.append(copy.deepcopy(random.choice(items)))


def confuse_ids(content: dict, random: Random) -> None:
    kind, key = random.choice([('annotations', 'image_id'), ('annotations', 'category_id')])
    random.choice(content[kind])[key] = random.randint(-2, 9)


def shuffle(content: dict, random: Random) -> None:
    random.shuffle(content['categories'])
    random.shuffle(content['images'])


def empty(content: dict, random: Random) -> None:
    content[random.choice(['images', 'annotations', 'categories'])] = random.choice([[], {}, None])


CHANGES = (replace, replace, replace, delete, write_as_string, repeat, confuse_ids, shuffle, empty)


def change(content: dict, random: Random) -> bytes:
    content = copy.deepcopy(content)
    for _ in range(random.randint(1, 2)):
        try:
            random.choice(CHANGES)(content, random)
        except (KeyError, IndexError, TypeError, AttributeError):  # after the first one
            break
    return json.dumps(content).encode()


def damage(content: dict, random: Random) -> bytes:
    """Change the text."""
    text = json.dumps(content)
    start = random.randrange(len(text))
    nested = random.choice([50, 5000, 200_000])
    return random.choice(
        [
            text[:start].encode(),
            text.encode('utf-16'),
            text.encode('utf-8-sig'),
            text.replace('"bbox"', '"bbox\xff"').encode('latin-1'),
            text[:start].encode() + random.randbytes(9) + text[start:].encode(),
            text.replace('"id": 1', f'"id": {"9" * 5000}').encode(),
            text.replace('"images": ', f'"images": {"[" * nested}').encode(),
            text.replace('"images": ', f'"info": {"[" * nested}{"]" * nested}, "images": ').encode(),
            random.choice([b'', b'null', b'[]', b'3', b'{}', b'"images"', b'\0' * 100]),
        ]
    )


def make_files(content: dict, number: int, seed: int = 0) -> list[bytes]:
    """Changed copies of a file's content; in every fourth one the text is damaged."""
    random = Random(seed)
    kinds: list[Callable[[dict, Random], bytes]] = [change, change, change, damage]
    return [kinds[index % 4](content, random) for index in range(number)]
