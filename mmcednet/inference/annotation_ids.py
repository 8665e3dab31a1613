"""Ids of images and classes in an annotation file, for predictions that are compared with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmcednet.checks.coco_format import read_coco

from .inputs import Source


@dataclass(frozen=True)
class AnnotationIds:
    """Ids of an annotation file in COCO's format.

    Attributes:
        images: ``file_name`` of an input -> id of its image.
        categories: Name of a class -> its id.
    """

    images: dict[str, Any]
    categories: dict[str, Any]


def read_ids(ann_file: Path, sources: Sequence[Source], classes: Sequence[str] | None) -> AnnotationIds:
    """Read the ids of the inputs and of the classes.

    Args:
        ann_file: File in COCO's format.
        sources: The inputs: images, each of which the file has, by its ``file_name`` or, if that is in
            another folder, by its last part.
        classes: The model's classes; None if its checkpoint does not name them.

    Raises:
        ValueError: The file lacks an image or a class, has several images of a name or the same one for
            two inputs; an input is a video.
    """
    content = read_coco(ann_file)
    categories = {category['name']: category['id'] for category in content['categories']}
    missing = [name for name in classes or () if name not in categories]
    if classes is None or missing:
        names = 'the names of the classes' if classes is None else f'the class {missing[0]!r}'
        owner = 'the checkpoint' if classes is None else str(ann_file)
        raise ValueError(
            f'{owner} lacks {names}, so that predictions cannot have the ids of {ann_file}'
        )
    by_path: dict[str, list[Any]] = {}
    by_name: dict[str, list[Any]] = {}
    for image in content['images']:
        by_path.setdefault(image['file_name'], []).append(image['id'])
        by_name.setdefault(Path(image['file_name']).name, []).append(image['id'])
    images: dict[str, Any] = {}
    inputs: dict[Any, str | Path] = {}  # by the id of their image
    for source in sources:
        if source.is_video:
            raise ValueError(f'{source.path} is a video, whose frames {ann_file} does not have')
        found = by_path.get(source.file_name) or by_name.get(source.path.name) or []
        if len(found) != 1:
            number = len(found) or 'no'
            raise ValueError(f'{ann_file} has {number} images with the name of {source.path}')
        other = inputs.setdefault(found[0], source.path)
        if other != source.path:
            raise ValueError(f'{ann_file} has the same image for {other} and for {source.path}')
        images[source.file_name] = found[0]
    return AnnotationIds(images, categories)
