"""What a benchmark does about signals that stop it: its trainings end, too, and it says so."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import psutil

# Windows has no SIGHUP, which comes when a terminal is closed
SIGNALS = [getattr(signal, name) for name in ('SIGINT', 'SIGTERM', 'SIGHUP') if hasattr(signal, name)]


@contextmanager
def handle_signals(handle: Callable[[int], Any]) -> Iterator[None]:
    """Call a function with the number of each signal; those that are ignored stay ignored."""
    heeded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, lambda number, _: handle(number)) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave(number: int) -> NoReturn:
    """End this process because of a signal.

    Raises:
        SystemExit: With 128 + the signal's number.
    """
    print('stopped; the same command continues', file=sys.stderr)
    raise SystemExit(128 + number)


def run_command(command: Sequence[str], env: Mapping[str, str]) -> int:
    """Run a command, such as a training; pass signals on to it, and wait until it has ended.

    It has a session of its own: the signals of a terminal reach all processes of a group, so that a
    training would get them twice, and end without saving a checkpoint.

    Args:
        command: The program and its arguments.
        env: Environment variables.

    Returns:
        The exit code.

    Raises:
        SystemExit: There was a signal; as of :func:`leave`.
    """
    process = subprocess.Popen(command, env=env, start_new_session=True)
    received: list[int] = []

    def forward(number: int) -> None:
        # a second Ctrl-C ends a training at once; timeout sends its signal twice
        if number == signal.SIGINT or number not in received:
            process.send_signal(number)
        received.append(number)

    with handle_signals(forward):
        code = process.wait()
    if received:
        leave(received[0])
    return code


@contextmanager
def leave_on_signals() -> Iterator[None]:
    """Leave with the first signal; meanwhile, others are ignored.

    Raises:
        SystemExit: There was a signal; as of :func:`leave`.
    """
    received: list[int] = []

    def leave_once(number: int) -> None:
        received.append(number)
        if len(received) == 1:
            leave(number)

    with handle_signals(leave_once):
        yield


def end_children() -> None:
    """End the processes that this one has started, and theirs."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.terminate()
