"""The classes of label maps: which value in the files is which class."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmcednet.data.label_values import IGNORED
from mmcednet.files import read_names, read_text
from mmcednet.wording import join_words

FILE_NAME = 'classes.txt'
LARGEST = 255  # mmseg reads 8 bits
WITH_VALUE = re.compile(r'(-?\d+)\s+(\S.*)')
NO_CLASS = '-'  # the name of a value that is ignored
MAX_SHOWN = 20
MANY = 40  # values; so many come from smoothed edges or JPEG rather than from classes


@dataclass(frozen=True)
class LabelClasses:
    """The classes of a dataset.

    Attributes:
        names: Name of each class.
        values: Its value in the label maps; None: the values are the indices 0, 1, 2, ...
        source: Where they are from.
        ignored: Values that are no class.
    """

    names: tuple[str, ...]
    values: tuple[int, ...] | None
    source: str
    ignored: frozenset[int] = frozenset({IGNORED})

    def select(self, found: Iterable[int]) -> list[str]:
        """Names of the classes whose values are found."""
        values = self.values or range(len(self.names))
        return [name for value, name in zip(values, self.names) if value in set(found)]


def find_classes(folder: Path, found: Mapping[str, Mapping[int, Path]]) -> LabelClasses:
    """Find the classes of a dataset: from ``classes.txt``, or numbered if the values are 0, 1, 2, ...

    A line of the file is ``VALUE NAME``, or the name of a class, whose value is then the number of
    lines before it. The values of lines ``VALUE -`` are ignored, and 255 is unless it is listed.

    Args:
        folder: Folder of the dataset.
        found: Split -> value in its label maps -> a file with it.

    Raises:
        ValueError: It is unclear which value is which class, or the training has one class only.
    """
    path = folder / FILE_NAME
    files: dict[int, Path] = {}
    for values in found.values():
        files = {**values, **files}
    if path.is_file():
        classes = read_classes(path)
    else:
        numbered = range(len(set(files) - {IGNORED}))
        names = tuple(f'class_{index}' for index in numbered)
        classes = LabelClasses(names, None, 'the values in the label maps')
    listed = set(classes.values or range(len(classes.names)))
    unknown = sorted(set(files) - listed - classes.ignored)
    too_large = [value for value in unknown if not 0 <= value <= LARGEST]
    if too_large:
        raise ValueError(
            f'the label map {files[too_large[0]]} has the value {too_large[0]}, but mmseg reads 8 '
            f'bits: the values of the classes must be 0 to 255'
        )
    if unknown:
        text = f'the label map {files[unknown[0]]} has the value {unknown[0]}, '
        if path.is_file():
            text += f'but {path} has {describe_lines(classes)}'
        else:
            text += f'but the values of K classes must be 0 to K-1 without {path}'
        raise ValueError(f'{text}; {describe_file(path, files, classes)}')
    if len(classes.select(found['train'])) < 2:
        void = (set(files) & classes.ignored) - listed
        verb = 'is' if len(void) == 1 else 'are'
        ignored = f', of which {describe(void)} {verb} ignored' if void else ''
        raise ValueError(
            f'the label maps for training have the values {describe(found["train"])}{ignored}, so that '
            f'there are fewer than two classes to learn; {describe_file(path, files, classes)}'
        )
    return classes


def read_classes(path: Path) -> LabelClasses:
    """Read the names, and values if they are given, of a file.

    Raises:
        ValueError: Some lines begin with a number and others do not, a line between names is empty, a
            value or name is used twice, or no line is a class.
    """
    lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    matches = [WITH_VALUE.fullmatch(line) for line in lines]
    if not any(matches):
        names = tuple(read_names(path))
        check_unique(path, 'name', names)
        return LabelClasses(names, None, path.name)
    pairs = [(int(match[1]), match[2]) for match in matches if match]
    if len(pairs) < len(lines):
        other, first = lines[matches.index(None)], next(filter(None, matches))[0]
        raise ValueError(f'{path}: the line {other!r} must be VALUE NAME, as {first!r} is')
    values, names = zip(*pairs)
    check_unique(path, 'value', values)
    check_unique(path, 'name', names)
    if not all(0 <= value <= LARGEST for value in values):
        raise ValueError(f'{path}: the values must be 0 to {LARGEST}, as mmseg reads 8 bits')
    classes = {value: name for value, name in pairs if name != NO_CLASS}
    if not classes:
        raise ValueError(f'{path}: each value is ignored, none is a class')
    ignored = frozenset({IGNORED, *values}) - set(classes)
    return LabelClasses(tuple(classes.values()), tuple(classes), path.name, ignored)


def check_unique(path: Path, kind: str, items: Sequence) -> None:
    """Check that each value or name of a file is in one line."""
    twice = next((item for item in items if items.count(item) > 1 and item != NO_CLASS), None)
    if twice is not None:
        raise ValueError(f'{path}: the {kind} {twice!r} is in two lines; each class has one')


def describe_lines(classes: LabelClasses) -> str:
    """What the file lists."""
    if classes.values is None:
        return f'{len(classes.names)} names, for the values 0 to {len(classes.names) - 1}'
    return f'the values {describe(classes.values)}'


def describe(values: Iterable[int]) -> str:
    """Write values, the first ones if they are many."""
    values = sorted(values)
    shown = [str(value) for value in values[:MAX_SHOWN]]
    if len(values) > MAX_SHOWN:
        return f'{", ".join(shown)} and {len(values) - MAX_SHOWN} more'
    return join_words(shown)


def describe_file(path: Path, files: Mapping[int, Path], classes: LabelClasses) -> str:
    """Say how to write a file that lists the values found."""
    values = sorted(set(files) | set(classes.values or ()))
    if len(values) > MANY:
        return (
            f'all label maps together have {len(values)} values, as smoothed edges and JPEG make them: '
            f'draw classes with one value each, and save them as PNG'
        )
    other = 'NAME'
    if classes.values:
        known = dict.fromkeys(classes.ignored - {IGNORED}, NO_CLASS)
        known |= dict(zip(classes.values, classes.names))
    elif len(classes.names) == len(values):  # in their order
        known = dict(zip(values, classes.names))
    elif path.is_file():  # names of the first values; what remains is void rather than a class
        known, other = dict(enumerate(classes.names)), NO_CLASS
    else:
        known = {}
    lines = ''.join(f'\n  {value} {known.get(value, other)}' for value in values)
    return (
        f'write {path} with the name of each value, or {NO_CLASS} where it is no class (void) and must '
        f'be ignored, as {IGNORED} is without a line:{lines}'
    )
