"""tools/infer.py as users run it; its parts are tested in tests/inference."""

import json

import cv2
import numpy as np
import pytest
from small_models import save_random_model


def list_files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file())


@pytest.mark.parametrize('name', ['empty', 'notes'])
def test_folders_without_images(get_error, tmp_path, name):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'notes').mkdir()
    (tmp_path / 'notes' / 'a.txt').write_text('no image')
    message = get_error('infer.py', 'config.py', 'x.pth', name, '-o', 'out')
    assert message.startswith(f'error: the folder {name} ')
    assert list_files(tmp_path) == ['notes/a.txt']


def test_bad_arguments(get_error, tmp_path, nano, shapes):
    picture = shapes / 'val' / '00000.png'
    message = get_error('infer.py', 'absent.py', 'x.pth', picture, '-o', 'out')
    assert message == 'error: config absent.py does not exist'
    message = get_error('infer.py', nano, 'x.pth', picture, '-o', 'out', '--device', 'cpu')
    assert message.startswith('error: x.pth can not be found')
    message = get_error(
        'infer.py', nano, 'x.pth', picture, '-o', 'out', '--device', 'cpu', '--cuda-graph'
    )
    assert message.endswith('need a GPU, but the model is on the cpu')
    message = get_error('infer.py', nano, 'x.pth', picture, '-o', 'out', '--batch', '0')
    assert message == 'error: --batch 0 must be at least 1'
    message = get_error('infer.py', nano, 'x.pth', picture, '-o', 'out', '--score', '2')
    assert message == 'error: --score 2.0 must be from 0 to 1'
    (tmp_path / 'out').write_text('mine')
    message = get_error('infer.py', nano, 'x.pth', picture, '-o', 'out')
    assert message.startswith('error: out exists already')
    assert list_files(tmp_path) == ['out']


def test_checkpoint_of_other_classes(get_error, tmp_path, nano, shapes):
    path = save_random_model(nano, tmp_path / 'b.pth', classes=('cat', 'dog'))
    message = get_error('infer.py', nano, path, shapes / 'val', '-o', 'out', '--device', 'cpu')
    assert 'was trained on 2 classes (cat, dog), but the config has 4 (disc, ' in message
    assert list_files(tmp_path) == ['b.pth']


@pytest.mark.slow
def test_process(run_tool, tmp_path, nano, checkpoint, shapes):
    folder = tmp_path / 'pictures'
    folder.mkdir()
    for path in (shapes / 'val').iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / '00001.png').write_bytes(b'not an image')
    config = tmp_path / 'config.py'
    config.write_text(f'_base_ = {str(nano)!r}\nmodel = dict(test_cfg=dict(score_thr=0.0))\n')
    args = [config, checkpoint, folder, '-o', 'out', '--device', 'cpu', '--batch', 2, '--score', 0]
    result = run_tool('infer.py', *args, expected_code=1, fresh=True)
    assert result.stderr.splitlines()[-1] == 'error: 1 of 3 files could not be read: 00001.png'
    assert '100%' in result.stdout
    out = tmp_path / 'out'
    assert list_files(out) == ['drawn/00000.jpg', 'drawn/00002.jpg', 'predictions.json']
    entries = json.loads((out / 'predictions.json').read_text())
    assert {entry['file_name'] for entry in entries} == {'00000.png', '00002.png'}
    image, drawn = (cv2.imread(str(path)) for path in (folder / '00000.png', out / 'drawn/00000.jpg'))
    assert np.abs(image.astype(int) - drawn[:, : image.shape[1]]).max() > 100  # beside it: the legend


@pytest.mark.slow
def test_config_of_a_toolbox(run_tool, tmp_path, shapes):
    """A config that knows nothing of this project, and a checkpoint without classes."""
    config = tmp_path / 'foreign.py'
    config.write_text(
        "_base_ = 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'\n"
        'model = dict(test_cfg=dict(score_thr=0.0, max_per_img=7), backbone=dict(init_cfg=None))\n'
        'test_dataloader = dict(dataset=dict(pipeline=[\n'
        "    dict(type='LoadImageFromFile'), dict(type='Resize', scale=(64, 64)),\n"
        "    dict(type='LoadAnnotations', with_bbox=True),\n"
        "    dict(type='PackDetInputs',\n"
        "         meta_keys=('img_id', 'ori_shape', 'img_shape', 'scale_factor'))]))\n"
    )
    path = save_random_model(config, tmp_path / 'b.pth')
    args = [config, path, shapes / 'val/00000.png', '-o', 'out', '--device', 'cpu', '--score', 0]
    run_tool('infer.py', *args)
    entries = json.loads((tmp_path / 'out' / 'predictions.json').read_text())
    assert len(entries) == 7
    from mmdet.datasets import CocoDataset

    classes = CocoDataset.METAINFO['classes']
    assert all(entry['category'] == classes[entry['category_id'] - 1] for entry in entries)
