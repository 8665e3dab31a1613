"""Pictures of a test, of images with one name in two folders."""

import json
import shutil

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from mmcednet.launch.config import enable_visualization
from mmcednet.visualization.show_dir import find_subfolder


@pytest.fixture
def two_folders(shapes, tmp_path):
    """The validation images as val/a/0.png and val/b/0.png."""
    content = json.loads((shapes / 'annotations' / 'val.json').read_text())
    content['images'] = content['images'][:2]
    kept = {image['id'] for image in content['images']}
    content['annotations'] = [item for item in content['annotations'] if item['image_id'] in kept]
    for folder, image in zip('ab', content['images']):
        target = tmp_path / 'val' / folder / '0.png'
        target.parent.mkdir(parents=True)
        shutil.copy(shapes / 'val' / image['file_name'], target)
        image['file_name'] = f'{folder}/0.png'
    (tmp_path / 'annotations').mkdir()
    (tmp_path / 'annotations' / 'val.json').write_text(json.dumps(content))
    return tmp_path


def test_each_image_has_a_picture(root, two_folders):
    cfg = Config.fromfile(root / 'configs' / 'retinanet' / 'cednet_nano_shapes.py')
    cfg.test_dataloader.update(num_workers=0, persistent_workers=False)
    cfg.test_dataloader.dataset.data_root = str(two_folders)
    cfg.test_evaluator.ann_file = str(two_folders / 'annotations' / 'val.json')
    cfg.update(work_dir=str(two_folders / 'work'), log_level='WARNING', launcher='none')
    cfg.update(train_dataloader=None, train_cfg=None, optim_wrapper=None, param_scheduler=None)
    cfg.update(val_dataloader=None, val_cfg=None, val_evaluator=None)
    cfg.visualizer.name = str(two_folders)  # mmengine keeps visualizers by their names
    enable_visualization(cfg, 'drawn', show=False, wait_time=0)
    runner = Runner.from_cfg(cfg)
    runner.test()
    drawn = two_folders / 'work' / runner.timestamp / 'drawn'
    found = {path.relative_to(drawn).as_posix() for path in drawn.rglob('*.png')}
    assert found == {'a/0.png', 'b/0.png'}


@pytest.mark.parametrize(
    ('path', 'folder', 'expected'),
    [
        ('data/val/a/0.png', 'data/val/', 'a'),
        ('data/val/0.png', 'data/val', ''),
        ('elsewhere/0.png', 'data/val', ''),
        ('data/val/a/0.png', None, ''),
    ],
)
def test_subfolders(path, folder, expected):
    assert find_subfolder(path, folder) == expected
