"""Folders without splits: the error names the command, after which they can be used."""

import runpy
import shlex
import shutil

import pytest
from label_maps import draw_label_maps

from mmcednet.own_data.new_config import write_new_config
from mmcednet.own_data.unsplit import split_images
from mmcednet_cli import find_script


def make_classes(folder, shapes):
    for name, number in (('cat', 5), ('dog', 10)):
        (folder / name).mkdir(parents=True)
        for i in range(number):
            shutil.copy(next((shapes / 'train').iterdir()), folder / name / f'{i}.png')


def make_label_maps(folder, shapes):
    """Of two classes, with names."""
    draw_label_maps(folder)
    for part in ('images', 'annotations'):
        for split in ('train', 'val'):
            for file in (folder / part / split).iterdir():
                file.rename(folder / part / f'{split}_{file.name}')
            (folder / part / split).rmdir()
    (folder / 'annotations').rename(folder / 'masks')


@pytest.mark.parametrize(
    ('make', 'framework'), [(make_classes, 'classifier'), (make_label_maps, 'upernet')]
)
def test_the_named_command_divides_a_folder(make, framework, shapes, root, tmp_path):
    folder, config = tmp_path / 'my data', tmp_path / 'my.py'
    make(folder, shapes)
    before = sorted(folder.rglob('*'))
    for given in (None, framework):
        with pytest.raises(ValueError, match='my data has no images for validation; choose') as caught:
            write_new_config(folder, given, 'nano', config, root / 'configs')
    command, *args = shlex.split(str(caught.value).rpartition(' with mmcednet ')[2])
    assert runpy.run_path(str(find_script(command)))['main'](args) == 0
    assert sorted(folder.rglob('*')) == before
    draft = write_new_config(tmp_path / 'my data_split', None, 'nano', config, root / 'configs')
    assert draft.reasons[0][1] == framework


def test_classes_have_the_same_share(shapes, tmp_path):
    make_classes(tmp_path / 'data', shapes)
    assert split_images(tmp_path / 'data', tmp_path / 'out', 0.2) == dict(train=12, val=3)
    assert [len(list((tmp_path / 'out/val' / name).iterdir())) for name in ('cat', 'dog')] == [1, 2]
    split_images(tmp_path / 'data', tmp_path / 'again', 0.2)
    found, again = (
        sorted(path.relative_to(tmp_path / out) for path in (tmp_path / out).rglob('*.png'))
        for out in ('out', 'again')
    )
    assert found == again and len(found) == 15


@pytest.mark.parametrize('name', ['train', 'valve', 'testtube'])
def test_classes_with_the_name_of_a_split(name, shapes, tmp_path):
    make_classes(tmp_path / 'data', shapes)
    (tmp_path / 'data' / 'cat').rename(tmp_path / 'data' / name)
    assert split_images(tmp_path / 'data', tmp_path / 'out', 0.2).total() == 15
    assert (tmp_path / 'out' / 'train' / name).is_dir()


def test_pairs_stay_together(shapes, tmp_path):
    make_label_maps(tmp_path / 'data', shapes)
    (tmp_path / 'data' / 'classes.txt').write_text('a\nb\n')
    numbers = split_images(tmp_path / 'data', tmp_path / 'out', 0.5)
    for split, number in numbers.items():
        images, labels = (
            {path.stem for path in (tmp_path / 'out' / part / split).iterdir()}
            for part in ('images', 'annotations')
        )
        assert images == labels and len(images) == number
    assert (tmp_path / 'out' / 'classes.txt').is_file()


def test_folders_that_cannot_be_divided(shapes, single_shapes, tmp_path):
    for folder in (shapes, single_shapes):
        with pytest.raises(ValueError, match=r'must have images/IMAGE with masks/IMAGE\.png, or CLASS'):
            split_images(folder, tmp_path / 'out', 0.2)
    with pytest.raises(ValueError, match='nowhere does not exist'):
        split_images(tmp_path / 'nowhere', tmp_path / 'out', 0.2)
    make_classes(tmp_path / 'data', shapes)
    with pytest.raises(ValueError, match=r'cat: a share of 0\.05 of 5 images leaves none for'):
        split_images(tmp_path / 'data', tmp_path / 'out', 0.05)
    assert not (tmp_path / 'out').exists()
