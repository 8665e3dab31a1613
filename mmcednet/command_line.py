"""Error reporting shared by all command-line tools."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def exit_on_error(*types: type[Exception]) -> Iterator[None]:
    """Turn an error into ``error: ...`` on stderr and exit code 1.

    Args:
        types: Types of the errors; default: ValueError and OSError, such as a full disk.

    Raises:
        SystemExit: Instead of these; other exceptions propagate.
    """
    handled = types or (ValueError, OSError)
    try:
        yield
    except handled as error:
        if isinstance(error, OSError) and error.filename is not None:
            sys.exit(f'error: {error.filename}: {error.strerror}')
        # Of an ImageError in a worker process, the message is a traceback that ends with the sentence
        sys.exit(f'error: {str(error).rpartition("ImageError: ")[2].strip()}')


def check_positive(parser: argparse.ArgumentParser, args: argparse.Namespace, *names: str) -> None:
    """End with the usage and a message if one of the options ``names`` is less than 1."""
    for name in names:
        value = getattr(args, name.replace('-', '_'))
        if value < 1:
            parser.error(f'--{name} {value} must be at least 1')
