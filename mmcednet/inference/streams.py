"""Cameras and streams: opened, and read until they end or the user presses Ctrl-C."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np

TIMEOUT = 10_000  # ms until an address must answer


def is_stream(name: str) -> bool:
    """Whether an input is a camera's number or an address such as rtsp://HOST/PATH."""
    return '://' in name or (name.isdecimal() and not Path(name).exists())


def describe_stream(name: str) -> str:
    """Name a stream in outputs and errors: without user, password and query."""
    if name.isdecimal():
        return f'camera {name}'
    parts = urlsplit(name)
    port = f':{parts.port}' if parts.port else ''
    return f'{parts.scheme}://{parts.hostname or ""}{port}{parts.path}'


def open_stream(name: str) -> cv2.VideoCapture:
    """Open a camera or an address.

    Raises:
        ValueError: It cannot be opened.
    """
    if name.isdecimal():
        capture = cv2.VideoCapture(int(name))
        advice = 'is one connected, and may this user read it?'
    else:
        timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT, cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT]
        capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG, timeouts)
        advice = 'is the address right, and does it serve a video?'
    if not capture.isOpened():
        raise ValueError(f'{describe_stream(name)} cannot be opened: {advice}')
    return capture


def read_stream(name: str) -> Iterator[tuple[np.ndarray, float]]:
    """Read frames (H, W, 3), uint8, BGR, and their rate, until the stream ends or Ctrl-C is pressed."""
    capture = open_stream(name)
    fps = capture.get(cv2.CAP_PROP_FPS) or 25.0
    try:
        with catch_interrupt() as interrupted:
            while not interrupted.is_set():
                complete, image = capture.read()
                if not complete:
                    return
                yield image, fps
    finally:
        capture.release()


@contextmanager
def catch_interrupt() -> Iterator[threading.Event]:
    """Set an event when Ctrl-C is pressed, instead of raising KeyboardInterrupt."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted  # only the main thread gets signals
        return
    previous = signal.signal(signal.SIGINT, lambda *_: interrupted.set())
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, previous)
