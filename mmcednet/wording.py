"""Words of messages."""

from collections.abc import Sequence


def count(number: int, noun: str) -> str:
    """'1 image', '2 images': a number of what a noun in the singular stands for."""
    return f'{number} {noun}' if number == 1 else f'{number} {noun}s'


def join_words(words: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'; empty without words."""
    if len(words) < 2:
        return ''.join(words)
    return f'{", ".join(words[:-1])} and {words[-1]}'


def list_first(items: Sequence[object], number: int) -> str:
    """'a, b, c', and 'a, b, ...' if there are more than ``number`` items."""
    return ', '.join(map(str, items[:number])) + (', ...' if len(items) > number else '')
