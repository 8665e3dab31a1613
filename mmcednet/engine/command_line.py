"""Error reporting shared by all command-line tools."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


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
