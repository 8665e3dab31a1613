"""The data of a distillation."""

import shutil
from collections import Counter
from itertools import islice

import pytest
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmcednet.distillation.config import (
    build_config,
    build_dataloader,
    count_images,
    warn_about_few_images,
)
from mmcednet.training import make_fault_tolerant
from mmcednet.training.loops import load_batches


@pytest.mark.parametrize(('batch_size', 'batches'), [(4, 10), (8, 5)])
def test_every_batch_is_full(batch_size, batches, shapes, tmp_path):
    """Each of the five images, in two folders, is taken as often as the others."""
    for index, path in enumerate(sorted((shapes / 'train').glob('*.png'))[:5]):
        folder = tmp_path / f'folder{index % 2}'
        folder.mkdir(exist_ok=True)
        shutil.copy(path, folder)
    dataloader = build_dataloader([tmp_path / 'folder0', tmp_path / 'folder1'], batch_size, 32)
    cfg = build_config(dict(), dataloader, 10, 1e-3, tmp_path)
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False)
    make_fault_tolerant(cfg)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    taken = Counter()
    for _, batch in islice(load_batches(loader, 0, 0, endless=True), batches):
        assert len(batch['inputs']) == batch_size
        taken.update(sample.img_path for sample in batch['data_samples'])
    assert list(taken.values()) == [8] * 5


def test_images_are_counted(shapes, tmp_path):
    """With those of subfolders and without other files."""
    (tmp_path / 'a' / 'b').mkdir(parents=True)
    for path, name in zip(sorted((shapes / 'train').glob('*.png')), ('x.png', 'a/y.PNG', 'a/b/z.png')):
        shutil.copy(path, tmp_path / name)
    (tmp_path / 'a' / 'text.txt').touch()
    assert count_images([tmp_path, tmp_path / 'a']) == 5


def test_a_batch_of_all_images_is_no_warning(log):
    warn_about_few_images(6, batch_size=6)
    assert not log.records
    warn_about_few_images(6, batch_size=7)
    assert len(log.records) == 1
