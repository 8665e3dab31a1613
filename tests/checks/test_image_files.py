"""The check, new_config and the training agree on every image file; what is lost is said."""

import json

import numpy as np
import pytest
from image_formats import DEEP, ORIENTATION, SIZE, draw_picture, turn, write_pictures
from label_maps import draw_label_maps, make_picture
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmengine.registry import TRANSFORMS, init_default_scope
from PIL import Image

from mmcednet.checks import check_data
from mmcednet.checks.image_files import check_image_files, reads_by_default
from mmcednet.images import ImageError, read_label_map
from mmcednet.own_data.new_config import write_new_config


def write_dataset(folder, path, width, height):
    """The image for training and validation, with a box."""
    content = dict(
        images=[dict(id=1, file_name=path.name, width=width, height=height)],
        categories=[dict(id=1, name='block')],
        annotations=[dict(id=1, image_id=1, category_id=1, bbox=[1, 1, 20, 20], area=400, iscrowd=0)],
    )
    folder.mkdir()
    for split in ('train', 'val'):
        (folder / f'{split}.json').write_text(json.dumps(content))
        (folder / split).mkdir()
        (folder / split / path.name).write_bytes(path.read_bytes())


def find_error(function, *args):
    try:
        function(*args)
    except ValueError as error:
        return str(error)
    return None


def load(path):
    """What a training loads; None if it cannot."""
    try:
        return LoadImageFromFile()(dict(img_path=str(path)))['img']
    except AssertionError:
        return None


def list_datasets(tmp_path):
    """The pictures, each with its size as stored and as shown."""
    (tmp_path / 'pictures').mkdir()
    for index, (path, mode, orientation) in enumerate(write_pictures(tmp_path / 'pictures')):
        for size in (SIZE, SIZE[::-1]):
            folder = tmp_path / f'{index}_{size[0]}'
            write_dataset(folder, path, *size)
            yield path, mode, orientation, size, folder


def load_config(root, folder, cfg=None):
    """The demo's config on a dataset of ``write_dataset``."""
    cfg = cfg or Config.fromfile(root / 'configs' / 'retinanet' / 'cednet_nano_shapes.py')
    for split in ('train', 'val'):
        dataset = cfg[f'{split}_dataloader'].dataset
        dataset.update(data_root=f'{folder}/', ann_file=f'{split}.json')
        dataset.update(data_prefix=dict(img=f'{split}/'), metainfo=dict(classes=('block',)))
    cfg.val_evaluator.ann_file = f'{folder}/val.json'
    return cfg


def test_the_check_foretells_what_is_loaded(root, tmp_path, log):
    """Over formats x depths x orientations: an error, a warning, or the picture as it was drawn."""
    cfg, passed, number = None, set(), 0
    for path, mode, orientation, size, folder in list_datasets(tmp_path):
        loaded = load(path)
        log.clear()
        cfg = load_config(root, folder, cfg)
        error = find_error(check_data, cfg, 'train', 'val')
        number += 1
        if error is not None:
            assert path.name in error
            assert loaded is None or loaded.shape[1::-1] != size, error
            continue
        assert loaded.shape == (size[1], size[0], 3)
        ignored = path.suffix == '.webp' and orientation != 1
        picture = draw_picture() if ignored else turn(draw_picture(), orientation)
        assert np.abs(picture.astype(int) - loaded).max() <= 35, path
        lost = orientation in (2, 3) or ignored or mode in DEEP
        assert (path.name in log.text) == lost, path
        passed.add(path.suffix)
    assert number > 200 and passed == {'.jpg', '.png', '.tif', '.webp', '.bmp'}


@pytest.mark.slow
def test_new_config_and_train_agree(root, tmp_path):
    """What new_config writes a config for, train.py's check accepts, and the other way round."""
    cfg = None
    for number, (_, _, orientation, size, folder) in enumerate(list_datasets(tmp_path)):
        if orientation not in (1, 6) or size != SIZE:  # a config takes half a second
            continue
        out = tmp_path / f'{number}.py'
        refused = find_error(write_new_config, folder, 'retinanet', 'nano', out, root / 'configs')
        cfg = load_config(root, folder, cfg)
        assert refused == find_error(check_data, cfg, 'train', 'val')
        assert out.exists() == (refused is None)


def save(folder, values, mode, name='a.png', **settings):
    path = folder / name
    make_picture(values, mode).save(path, **settings)
    return path


def test_dark_images_of_16_bits(tmp_path, log):
    """Of 12 bits in 16, OpenCV's 8 keep 4."""
    values = np.tile(np.arange(64) * 65, (40, 1))  # up to 4095
    path = save(tmp_path, values, 'I;16')
    assert load(path).max() == 15
    with pytest.raises(ValueError, match=rf'{path} has 16 bits .* at most 4095, .* keep 0 to 15; save'):
        check_image_files([path], 'train.json')
    other = save(tmp_path, values * 16, 'I;16', 'b.png')
    check_image_files([path, other], 'train.json')
    assert 'train.json: 2 images have more than 8 bits per channel, of which' in log.text


def test_transparent_pixels(tmp_path, log):
    picture = np.full((40, 40, 4), 255, np.uint8)
    Image.fromarray(picture).save(tmp_path / 'a.png')
    check_image_files([tmp_path / 'a.png'], 'train.json')
    assert not log.text
    picture[:9, :9, 3] = 7
    Image.fromarray(picture).save(tmp_path / 'b.png')
    assert (load(tmp_path / 'b.png') == 255).all()
    check_image_files([tmp_path / 'a.png', tmp_path / 'b.png'], 'train.json')
    assert (
        f'1 images have transparent pixels, which are read as opaque: {tmp_path / "b.png"}' in log.text
    )


@pytest.mark.parametrize('name', ['a.tif', 'a.png', 'a.webp'])
def test_pages(tmp_path, log, name):
    pages = [Image.new('L', (40, 30), colour) for colour in (20, 200, 90)]
    pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
    if name == 'a.webp' and load(tmp_path / name) is None:
        pytest.skip('this OpenCV does not read animated WebP')
    check_image_files([tmp_path / name], 'train.json')
    assert f'1 images have several pages or frames, of which the first is read: {tmp_path}' in log.text


def test_images_that_opencv_cannot_read(tmp_path):
    path = tmp_path / 'a.tif'
    Image.fromarray(np.random.rand(40, 30).astype(np.float32)).save(path)
    assert load(path) is None
    with pytest.raises(ValueError, match=rf'{path}, TIFF of mode F, cannot be read by OpenCV'):
        check_image_files([path], 'train.json')
    path.write_bytes(path.read_bytes()[:-400])  # damaged: a training replaces it
    check_image_files([path], 'train.json')


def test_other_readers_are_not_checked():
    step = dict(type='LoadImageFromFile')
    assert reads_by_default([dict(type='NamedImageErrors', transforms=[step])])
    assert not reads_by_default([dict(step, imdecode_backend='tifffile')])
    assert not reads_by_default([dict(step, color_type='unchanged')])
    assert not reads_by_default(None)


@pytest.mark.parametrize('suffix', ['.png', '.tif'])
@pytest.mark.parametrize('mode', ['1', 'L', 'P', 'I;16', 'I', 'F', 'LA', 'RGB', 'RGBA', 'CMYK', 'PA'])
@pytest.mark.parametrize('orientation', [1, 3, 6])
def test_label_maps_are_read_as_by_mmseg(tmp_path, suffix, mode, orientation):
    """What mmseg loads is what was drawn and what the check reads, or the check names the file."""
    init_default_scope('mmseg')
    drawn = np.zeros((32, 48), np.uint8)
    drawn[5:20, 9:30] = 1
    picture = make_picture(drawn, mode) if mode in ('1', 'P', 'I;16') else Image.fromarray(drawn)
    if mode in ('I', 'F'):
        picture = Image.fromarray(drawn.astype(np.int32 if mode == 'I' else np.float32))
    elif picture.mode != mode:
        picture = picture.convert(mode)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / f'a{suffix}'
    try:
        picture.save(path, exif=exif)
    except OSError:
        pytest.skip(f'Pillow writes no {suffix} of mode {mode}')
    try:
        labels = read_label_map(path)
    except ImageError as error:
        assert str(path) in str(error)
        assert mode in ('F', 'LA', 'RGB', 'RGBA', 'CMYK', 'PA') or (
            suffix == '.png' and orientation != 1
        )
        return
    sample = dict(seg_map_path=str(path), reduce_zero_label=False, seg_fields=[])
    loaded = TRANSFORMS.build(dict(type='LoadAnnotations'))(sample)['gt_seg_map']
    assert np.array_equal(loaded, labels)
    assert np.array_equal(loaded, turn(drawn, orientation))


def test_label_maps_of_several_pages(tmp_path):
    pages = [Image.new('L', (40, 30), value) for value in (0, 1)]
    pages[0].save(tmp_path / 'a.png', save_all=True, append_images=pages[1:])
    with pytest.raises(ImageError, match=r'a\.png has 2 pages; it must have one'):
        read_label_map(tmp_path / 'a.png')


def test_images_of_a_segmenter(root, tmp_path, log):
    """new_config says what is lost of them."""
    draw_label_maps(tmp_path / 'data')
    exif = Image.Exif()
    exif[ORIENTATION] = 3
    path = tmp_path / 'data' / 'images' / 'train' / '0.jpg'
    Image.open(path).save(path, exif=exif)
    write_new_config(tmp_path / 'data', 'upernet', 'nano', tmp_path / 'my.py', root / 'configs')
    assert '1 images have an EXIF orientation that does not change their size: their annot' in log.text
    assert str(path) in log.text
