"""Words of messages."""


def count(number: int, noun: str) -> str:
    """'1 image', '2 images': a number of what a noun in the singular stands for."""
    return f'{number} {noun}' if number == 1 else f'{number} {noun}s'
