"""Which value of the label maps is which class: as the data are drawn, or a sentence."""

import numpy as np
import pytest
from label_maps import draw_label_maps
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image

from mmcednet.own_data.label_classes import find_classes, read_classes
from mmcednet.own_data.label_maps import find_label_maps, find_values_of
from mmcednet.own_data.new_config import write_new_config


def find(folder):
    return find_classes(
        folder, {name: find_values_of(split) for name, split in find_label_maps(folder).items()}
    )


def write(folder, root):
    out = folder.parent / 'my.py'
    write_new_config(folder, 'upernet', 'nano', out, root / 'configs')
    return Config.fromfile(out)


@pytest.mark.parametrize(
    ('values', 'lines', 'mode'),
    [
        ((0, 1), None, 'L'),
        ((0, 1), None, '1'),
        ((0, 1, 2), 'background\ncell\nother\n', 'P'),
        ((0, 1, 2), 'background\ncell\nother\n', 'I;16'),
        ((0, 255), '0 background\n255 object\n', 'L'),
        ((0, 255, 128), '0 background\n255 object of one kind\n128 other\n', 'P'),
        ((7, 3), '7 background\n3 object\n', 'I;16'),
        ((0, 1), '0 background\n1 object\n', 'L'),
        ((0, 1, 11), '0 background\n1 object\n11 -\n', 'L'),
        ((2, 1, 0), '2 background\n1 object\n0 -\n', 'P'),
    ],
)
def test_labels_are_those_that_are_drawn(tmp_path, root, values, lines, mode):
    """What the written config's pipeline loads."""
    folder = tmp_path / 'data'
    drawn = draw_label_maps(folder, values, mode)
    if lines:
        (folder / 'classes.txt').write_text(lines)
    cfg = write(folder, root)
    ignored = 1 if lines and '-' in lines else 0  # the last one
    assert len(cfg.classes) == cfg.model.decode_head.num_classes == len(values) - ignored
    init_default_scope('mmseg')
    load = [step for step in cfg.train_pipeline if step.type in ('LoadAnnotations', 'MapLabels')]
    dataset = DATASETS.build(dict(cfg.train_dataloader.dataset, pipeline=load))
    assert len(dataset) == len(drawn)
    for sample, (path, indices) in zip(dataset, drawn):
        assert sample['seg_map_path'] == str(path)
        expected = np.where(indices == len(cfg.classes), 255, indices)
        assert np.array_equal(sample['gt_seg_map'], expected)


@pytest.mark.parametrize(
    ('values', 'lines', 'message'),
    [
        (
            (0, 255),
            None,
            r'have the values 0 and 255, of which 255 is ignored, so that there are fewer than two '
            r'classes to learn; write \S+/classes\.txt with the name of each value, or - where it is '
            r'no class .*:\n  0 NAME\n  255 NAME$',
        ),
        ((0, 255), 'background\nobject\n', r'fewer than two .*:\n  0 background\n  255 object$'),
        ((0, 255), '0 background\n1 object\n', r'0 background\n  1 object\n  255 NAME$'),
        ((0,), None, 'have the values 0, so that there are fewer than two classes'),
        ((0, 1), '1 object\n', r'0\.png has the value 0, but \S+ has the values 1; .*\n  1 object$'),
        (
            (0, 128, 255),
            None,
            r'0\.png has the value 128, but the values of K classes must be 0 to K-1 without \S+; '
            r'write \S+ with the name of each value, .* ignored, as 255 is without a line:'
            r'\n  0 NAME\n  128 NAME\n  255 NAME$',
        ),
        ((1, 2), None, r'has the value 2, but the values of K classes must be 0 to K-1'),
        ((0, 1, 2), 'background\ncell\n', r'the value 2, but \S+ has 2 names, for the values 0 to 1'),
        (
            (0, 1, 2),
            'background\ncell\n',
            r'or - where it is no class \(void\) and must be ignored, as 255 is without a line:'
            r'\n  0 background\n  1 cell\n  2 -$',
        ),
        ((0, 1), '1 object\n2 -\n', r'the values 1; .*\n  0 NAME\n  1 object$'),
        ((0, 1), '0 -\n1 -\n', r'classes\.txt: each value is ignored, none is a class'),
        (
            (0, 1),
            '0 -\n1 object\n',
            r'have the values 0 and 1, of which 0 is ignored, so that there are',
        ),
        ((0, 1000), None, r'0\.png has the value 1000, but mmseg reads 8 bits'),
    ],
)
def test_unclear_values_are_refused(tmp_path, root, values, lines, message):
    folder = tmp_path / 'data'
    draw_label_maps(folder, values, 'I;16' if max(values) > 255 else 'L')
    if lines:
        (folder / 'classes.txt').write_text(lines)
    with pytest.raises(ValueError, match=rf'(?s){message}'):
        write(folder, root)
    assert not (tmp_path / 'my.py').exists()


def test_all_splits_count(tmp_path):
    """A class that only the validation has; a value that only the validation has."""
    draw_label_maps(tmp_path)
    path = tmp_path / 'annotations' / 'val' / '0.png'
    labels = np.array(Image.open(path))
    labels[0, :3] = 2
    Image.fromarray(labels).save(path)
    assert find(tmp_path).names == ('class_0', 'class_1', 'class_2')
    labels[0, :3] = 9
    Image.fromarray(labels).save(path)
    with pytest.raises(ValueError, match=rf'the label map {path} has the value 9, but'):
        find(tmp_path)


def test_smoothed_edges(tmp_path):
    (path, _), *_ = draw_label_maps(tmp_path)
    Image.fromarray(np.tile(np.arange(64, dtype=np.uint8) * 2, (48, 1))).save(path)
    with pytest.raises(ValueError, match='have 65 values, as smoothed edges and JPEG make them'):
        find(tmp_path)


@pytest.mark.parametrize(
    ('lines', 'message'),
    [
        ('0 background\nobject\n', "the line 'object' must be VALUE NAME, as '0 background' is"),
        ('0 background\n255\n', "the line '255' must be VALUE NAME"),
        ('0 background\n0 object\n', 'the value 0 is in two lines'),
        ('0 object\n1 object\n', "the name 'object' is in two lines"),
        ('background\nred\nred\n', "the name 'red' is in two lines"),
        ('background\n\nred\n', 'line 2 must be the name of a class, but is empty'),
        ('0 background\n300 object\n', 'the values must be 0 to 255'),
        ('0 background\n-1 object\n', 'the values must be 0 to 255'),
    ],
)
def test_wrong_lines(tmp_path, lines, message):
    path = tmp_path / 'classes.txt'
    path.write_text(lines)
    with pytest.raises(ValueError, match=f'{path}: {message}'):
        read_classes(path)
