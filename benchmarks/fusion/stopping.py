"""Commands that are told of the signals that stop a benchmark, and waited for."""

import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import FrameType

# Windows has no SIGHUP, which comes when a terminal is closed
SIGNALS = [getattr(signal, name) for name in ('SIGINT', 'SIGTERM', 'SIGHUP') if hasattr(signal, name)]


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
        SystemExit: There was a signal; with 128 + its number.
    """
    process = subprocess.Popen(command, env=env, start_new_session=True)
    received: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        # a second Ctrl-C ends a training at once; timeout sends its signal twice
        if number == signal.SIGINT or number not in received:
            process.send_signal(number)
        received.append(number)

    heeded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    handlers = {number: signal.signal(number, forward) for number in heeded}
    try:
        code = process.wait()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if received:
        print('stopped; the same command continues', file=sys.stderr)
        raise SystemExit(128 + received[0])
    return code
