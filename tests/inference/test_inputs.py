"""Images and videos are found, named without collisions, and read."""

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmcednet.inference.inputs import (
    Problems,
    count_frames,
    find_sources,
    find_validation_images,
    iter_batches,
    iter_frames,
    list_examples,
    read_image,
)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A function that writes images, by their path and shape; the working directory is their folder."""
    monkeypatch.chdir(tmp_path)

    def write(*names, shape=(4, 6, 3)):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / name), np.zeros(shape, np.uint8))

    return write


def list_names(*inputs):
    return [(source.file_name, source.name) for source in find_sources(inputs)]


def test_files_folders_and_patterns(files, tmp_path):
    files('b.png', 'folder/z.jpg', 'folder/deep/y.JPG', 'folder/.hidden/x.png', 'other/w.png')
    (tmp_path / 'folder' / 'notes.txt').write_text('no image')
    (tmp_path / 'odd').write_bytes((tmp_path / 'b.png').read_bytes())
    assert list_names('b.png', 'folder', 'oth*/*', 'odd', 'b.png', './b.png') == [
        ('b.png', 'b'),
        ('deep/y.JPG', 'deep/y'),
        ('z.jpg', 'z'),
        ('w.png', 'w'),
        ('odd', 'odd'),
    ]


def test_equal_names_keep_their_folders(files):
    files('a/x.jpg', 'b/x.jpg', 'b/y.jpg')
    assert list_names('a', 'b') == [('a/x.jpg', 'a/x'), ('b/x.jpg', 'b/x'), ('b/y.jpg', 'b/y')]
    assert list_names('a/x.jpg', 'b/x.jpg') == [('a/x.jpg', 'a/x'), ('b/x.jpg', 'b/x')]


def test_names_that_differ_in_the_suffix_keep_it(files):
    files('x.jpg', 'x.png', 'y.png')
    assert list_names('x.*', 'y.png') == [(name, name) for name in ('x.jpg', 'x.png', 'y.png')]


def test_nothing_found(files, tmp_path):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'notes').mkdir()
    (tmp_path / 'notes' / 'a.txt').write_text('no image')
    for name, message in {
        'absent.jpg': '^absent.jpg does not exist$',
        'empty': '^the folder empty is empty$',
        'notes': '^the folder notes has no images or videos, only files such as a.txt$',
        '*.png': r'^the pattern \*.png matches no file$',
        'notes/*': r'^the pattern notes/\* has no images or videos, only files such as a.txt$',
    }.items():
        with pytest.raises(ValueError, match=message):
            find_sources([name])


def test_exif_rotation(tmp_path):
    image = np.zeros((8, 16, 3), np.uint8)
    image[:4] = 200  # bright above, dark below
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to view
    Image.fromarray(image).save(tmp_path / 'a.jpg', exif=exif, quality=95)
    found = read_image(tmp_path / 'a.jpg')
    assert found.shape == (16, 8, 3)
    assert found[:, :3].max() < 50 < 150 < found[:, 5:].min()


def test_unreadable_images_are_skipped(files, tmp_path):
    files('a.png', 'c.png')
    (tmp_path / 'b.png').write_bytes((tmp_path / 'a.png').read_bytes()[:40])
    (tmp_path / 'd.jpg').write_bytes(b'')
    problems = Problems()
    sources = find_sources(['.'])
    assert [frame.source.name for frame in iter_frames(sources, problems)] == ['a', 'c']
    assert problems.describe(len(sources)) == '2 of 4 files could not be read: b.png, d.jpg'


def test_video(video):
    problems = Problems()
    sources = find_sources([str(video)])
    assert count_frames(sources) == 12
    frames = list(iter_frames(sources, problems))
    assert [frame.index for frame in frames] == list(range(12))
    expected = [30 + 15 * index for index in range(12)]
    np.testing.assert_allclose([frame.image.mean() for frame in frames], expected, atol=3)
    assert problems.describe(1) == ''


def test_video_that_ends_early(video):
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    problems = Problems()
    number = len(list(iter_frames(find_sources([str(video)]), problems)))
    assert 0 < number < 11
    assert problems.describe(1) == f'clip.avi ends early: {number} of 12 frames could be read'


def test_video_that_is_none(tmp_path):
    (tmp_path / 'clip.mp4').write_bytes(b'hello')
    problems = Problems()
    sources = find_sources([str(tmp_path)])
    assert count_frames(sources) == 1
    assert not list(iter_frames(sources, problems))
    assert problems.describe(1) == '1 of 1 files could not be read: clip.mp4'


def test_many_problems_are_counted():
    text = Problems(unreadable=[f'{index}.png' for index in range(23)]).describe(40)
    assert text.startswith('23 of 40 files could not be read: 0.png, 1.png, ')
    assert text.endswith(', 19.png and 3 more')


def test_batches_have_one_shape(files):
    files('a.png', 'b.png', 'c.png')
    files('d.png', 'e.png', shape=(6, 4, 3))
    frames = iter_frames(find_sources(['.']), Problems())
    batches = [''.join(frame.source.name for frame in batch) for batch in iter_batches(frames, 2)]
    assert batches == ['ab', 'c', 'de']


def test_examples_of_a_folder(files, tmp_path):
    files('pictures/b.png', 'pictures/a.jpg')
    (tmp_path / 'pictures' / 'notes.txt').write_text('no image')
    assert [path.name for path in list_examples(tmp_path / 'pictures')] == ['a.jpg', 'b.png']
    with pytest.raises(ValueError, match=r'absent has no images$'):
        list_examples(tmp_path / 'absent')


def test_validation_images_are_chosen_from_all(files, tmp_path):
    """Of a folder that also has training images."""
    names = [f'{index:02d}.png' for index in range(30)]
    files(*names)
    (tmp_path / 'val.txt').write_text('\n'.join(name[:2] for name in names[1::2]))
    dataset = dict(
        type='mmseg.BaseSegDataset',
        data_root=str(tmp_path),
        ann_file='val.txt',
        data_prefix=dict(img_path='', seg_map_path=''),
        img_suffix='.png',
        metainfo=dict(classes=('a', 'b')),
        pipeline=[dict(type='Unknown')],
    )
    pytest.importorskip('mmseg.datasets')
    cfg = Config(dict(val_dataloader=dict(dataset=dataset)))
    found = [path.name for path in find_validation_images(cfg)]
    assert found == ['01.png', '05.png', '09.png', '13.png', '17.png', '21.png', '25.png', '29.png']
    dataset['data_root'] = 'absent'
    assert find_validation_images(Config(dict(val_dataloader=dict(dataset=dataset)))) == []
