"""From a folder of images to a trained model, by the tools, as a user runs them."""

import shutil

import pytest
from mmengine.config import Config

ONE_EPOCH = ['train_cfg.max_epochs=1', 'train_cfg.val_interval=1', 'param_scheduler.1.end=1']
QUICK = [*ONE_EPOCH, 'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False']
QUICK += [
    f'{name}_dataloader.{key}'
    for name in ('val', 'test')
    for key in ('num_workers=0', 'persistent_workers=False')
]


@pytest.mark.slow
def test_pascal_voc_to_a_trained_detector(bccd, tmp_path, run_tool):
    run_tool('dataset_converters/voc_to_coco.py', bccd, fresh=True)
    args = ['--data', bccd, '--arch', 'nano', '-o', tmp_path / 'my.py']
    shown = run_tool('new_config.py', *args, fresh=True).stdout
    assert '12 training images' in shown and 'RBC' in shown and '(320, 240)' in shown
    assert 'OneDL' not in shown  # a message of the toolboxes
    cfg = Config.fromfile(tmp_path / 'my.py')
    assert cfg.test_dataloader.dataset.ann_file == 'coco/test.json'
    options = [
        '--work-dir',
        tmp_path / 'work',
        '--cfg-options',
        *QUICK,
        'train_dataloader.batch_size=1',
    ]
    shown = run_tool('train.py', tmp_path / 'my.py', *options).stdout
    assert 'the 1 that are left end at about' in shown  # of 12 images
    checkpoint = tmp_path / 'work' / 'epoch_1.pth'
    run_tool('test.py', tmp_path / 'my.py', checkpoint, '--work-dir', tmp_path / 'test')


@pytest.mark.slow
@pytest.mark.parametrize('framework', ['mask_rcnn', 'cascade_mask_rcnn', 'upernet'])
def test_masks_and_label_maps(shapes, tmp_path, run_tool, framework):
    run_tool(
        'new_config.py',
        '--data',
        shapes,
        '--framework',
        framework,
        '--arch',
        'nano',
        '-o',
        tmp_path / 'my.py',
    )
    run_tool('train.py', tmp_path / 'my.py', '--work-dir', tmp_path / 'work', '--cfg-options', *QUICK)
    assert (tmp_path / 'work' / 'epoch_1.pth').is_file()


@pytest.mark.slow
def test_class_folders_to_a_trained_classifier(single_shapes, tmp_path, run_tool):
    config = tmp_path / 'my.py'
    options = ['--framework', 'classifier', '--arch', 'nano']
    run_tool('new_config.py', '--data', single_shapes, *options, '-o', config)
    run_tool('train.py', config, '--work-dir', tmp_path / 'work', '--cfg-options', *QUICK)
    checkpoint = tmp_path / 'work' / 'epoch_1.pth'
    images = single_shapes / 'val' / 'disc'
    run_tool('infer.py', config, checkpoint, images, '-o', tmp_path / 'out', '--device', 'cpu')
    assert 'triangle' in (tmp_path / 'out' / 'predictions.json').read_text()


def test_one_file_is_split(shapes, tmp_path, run_tool):
    folder = shutil.copytree(shapes, tmp_path / 'data')
    shutil.move(folder / 'annotations' / 'train.json', folder / 'all.json')
    shutil.rmtree(folder / 'annotations')
    shown = run_tool('dataset_converters/split_coco.py', folder / 'all.json', fresh=True).stdout
    assert 'train.json: 5 images' in shown and 'val.json: 1 image,' in shown
    shown = run_tool('new_config.py', '--data', folder, '-o', tmp_path / 'my.py').stdout
    assert 'duration' in shown and 'about' in shown
    assert Config.fromfile(tmp_path / 'my.py').train_dataloader.dataset.ann_file == 'train.json'


def test_errors(get_error, tmp_path, shapes):
    missing = tmp_path / 'nowhere'
    message = get_error('new_config.py', '--data', missing, '-o', 'my.py')
    assert message == f'error: the folder {missing} does not exist'
    message = get_error('dataset_converters/split_coco.py', shapes / 'shapes.json')
    assert message.endswith('shapes.json has no images or no categories')
    message = get_error('dataset_converters/voc_to_coco.py', shapes)
    assert message == f'error: {shapes} has no XML files'
    assert not (tmp_path / 'my.py').exists()
