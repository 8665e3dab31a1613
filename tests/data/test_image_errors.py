"""Errors of a pipeline name the image."""

import numpy as np
import pytest
from broken_images import BOMB, change_jpeg_header, change_png_header
from mmcv.transforms import TRANSFORMS, BaseTransform
from mmengine.registry import init_default_scope
from PIL import Image

from mmcednet.data import NamedImageErrors
from mmcednet.images import ImageError

LOAD = dict(type='LoadImageFromFile')


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmdet')


def test_good_image(tmp_path):
    Image.fromarray(np.full((20, 30, 3), 7, np.uint8)).save(tmp_path / 'a.png')
    results = NamedImageErrors([LOAD])(dict(img_path=str(tmp_path / 'a.png')))
    assert results['img'].shape == (20, 30, 3)


@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
@pytest.mark.parametrize('content', [b'', b'not an image', b'\x89PNG\r\n\x1a\n'])
def test_file_that_is_not_an_image(tmp_path, content, backend):
    path = tmp_path / 'a.png'
    path.write_bytes(content)
    with pytest.raises(ImageError, match=rf'^the image {path} cannot be used: '):
        NamedImageErrors([dict(LOAD, imdecode_backend=backend)])(dict(img_path=str(path)))


@pytest.mark.parametrize('make', [change_png_header, change_jpeg_header])
def test_too_many_pixels(tmp_path, make):
    path = tmp_path / 'a.png'
    path.write_bytes(make(BOMB, BOMB)[1])
    with pytest.raises(ImageError, match=rf'{path} has more than 178,956,970 pixels'):
        NamedImageErrors([LOAD])(dict(img_path=str(path)))


def test_side_of_zero_after_resizing(tmp_path):
    path = tmp_path / 'a.png'
    Image.new('RGB', (3000, 1)).save(path)
    resize = dict(type='Resize', scale=(64, 64), keep_ratio=True)
    with pytest.raises(ImageError, match=rf'^the image {path} cannot be used: '):
        NamedImageErrors([LOAD, resize])(dict(img_path=str(path)))


def test_other_errors_are_left(tmp_path):
    @TRANSFORMS.register_module(force=True)
    class FailingTransform(BaseTransform):
        def transform(self, results):
            assert not results, 'a bug'

    Image.new('RGB', (30, 30)).save(tmp_path / 'a.png')
    with pytest.raises(AssertionError, match='a bug'):
        NamedImageErrors([LOAD, dict(type='FailingTransform')])(dict(img_path=str(tmp_path / 'a.png')))


def test_full_memory_is_no_error_of_the_image(tmp_path):
    """OpenCV cannot allocate an image of 2^20 x 2^20 pixels."""
    Image.new('RGB', (30, 30)).save(tmp_path / 'a.png')
    resize = dict(type='Resize', scale=(2**20, 2**20), keep_ratio=False)
    with pytest.raises(MemoryError, match='Insufficient memory'):
        NamedImageErrors([LOAD, resize])(dict(img_path=str(tmp_path / 'a.png')))
