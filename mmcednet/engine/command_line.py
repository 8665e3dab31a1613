"""Error reporting shared by all command-line tools."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from .images import ImageError


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Turn a ValueError or FileNotFoundError into ``error: ...`` on stderr and exit code 1.

    Raises:
        SystemExit: Instead of these two; other exceptions propagate.
    """
    try:
        yield
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f'error: {error}')


@contextmanager
def exit_on_image_error() -> Iterator[None]:
    """Turn an ImageError, also one of a worker process, into ``error: ...`` and exit code 1.

    Raises:
        SystemExit: Instead of an ImageError; other exceptions propagate.
    """
    try:
        yield
    except ImageError as error:
        # From a worker process, the message is a traceback that ends with the sentence.
        sys.exit(f'error: {str(error).rpartition("ImageError: ")[2].strip()}')


def check_positive(parser: argparse.ArgumentParser, args: argparse.Namespace, *names: str) -> None:
    """End with the usage and a message if one of the options ``names`` is less than 1."""
    for name in names:
        if getattr(args, name) < 1:
            parser.error(f'--{name} {getattr(args, name)} must be at least 1')
