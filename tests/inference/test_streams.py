"""Cameras and streams; a local server plays the camera."""

import signal
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import cv2
import numpy as np
import pytest

from mmcednet.inference.inputs import Problems, count_frames, find_sources, iter_frames
from mmcednet.inference.streams import describe_stream


@pytest.fixture
def camera():
    """Address of a stream of JPEG images, grey levels 20, 40, ..., 200."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header('Content-Type', 'multipart/x-mixed-replace; boundary=frame')
            self.end_headers()
            for grey in range(20, 201, 20):
                _, data = cv2.imencode('.jpg', np.full((48, 64, 3), grey, np.uint8))
                head = f'--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n'
                try:
                    self.wfile.write(head.encode() + data.tobytes() + b'\r\n')
                except OSError:  # the reader has closed the connection
                    return

        def log_message(self, *args):
            pass

    server = HTTPServer(('127.0.0.1', 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f'http://user:secret@127.0.0.1:{server.server_port}/live.mjpg'
    server.shutdown()
    thread.join()
    server.server_close()


def test_stream_is_read_as_a_video(camera):
    sources = find_sources([camera])
    assert count_frames(sources) is None
    frames = list(iter_frames(sources, Problems()))
    assert [frame.index for frame in frames] == list(range(len(frames)))
    greys = [frame.image.mean() for frame in frames]
    np.testing.assert_allclose(greys, np.arange(20, 201, 20)[: len(greys)], atol=3)
    assert len(frames) >= 8
    (source,) = sources
    assert source.name == 'stream1' and 'secret' not in source.file_name


def test_predictions_of_a_stream(camera, load_small, tmp_path):
    from mmcednet.inference.outputs import write_predictions

    assert (
        write_predictions(load_small('upernet'), find_sources([camera]), tmp_path / 'out', 0.3, 1) == ''
    )
    reader = cv2.VideoCapture(str(tmp_path / 'out' / 'drawn' / 'stream1.mp4'))
    assert reader.get(cv2.CAP_PROP_FRAME_COUNT) >= 8
    reader.release()


@pytest.mark.parametrize(
    ('name', 'shown'),
    [
        ('97', 'camera 97'),
        ('http://user:secret@127.0.0.1:9/a?key=1', 'http://127.0.0.1:9/a'),
        ('rtsp://127.0.0.1:9/live', 'rtsp://127.0.0.1:9/live'),
    ],
)
def test_what_cannot_be_opened(name, shown):
    assert describe_stream(name) == shown
    with pytest.raises(ValueError) as caught:
        find_sources([name])
    assert str(caught.value).startswith(f'{shown} cannot be opened: ')
    assert 'secret' not in str(caught.value)


def test_interrupt_ends_a_stream(camera):
    before = signal.getsignal(signal.SIGINT)
    frames = iter_frames(find_sources([camera]), Problems())
    next(frames)
    signal.raise_signal(signal.SIGINT)
    assert len(list(frames)) <= 1
    assert signal.getsignal(signal.SIGINT) is before
