"""tools/train.py, test.py and dist_*.sh as users run them: real processes, data on disk."""

import json
import pickle
import runpy
import shutil

import cv2
import numpy as np
import pytest
import torch
from paper.results import read_metrics
from torch._dynamo.testing import CompileCounterWithBackend

from mmcednet.models import compile_blocks

pytestmark = pytest.mark.slow
needs_compiler = pytest.mark.skipif(
    not hasattr(torch.compiler, 'is_compiling'), reason='torch is older than 2.3'
)

# A user's config, outside of this repository: the toolbox's with the backbone of the README.
USER_CONFIG = """
_base_ = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
custom_imports = dict(imports=['mmcednet'])
model = dict(
    backbone=dict(
        _delete_=True, type='CEDNet',
        arch=dict(channels=(8, 16, 24, 32), blocks=(1, 1, 2, 1), num_stages=2),
        pyramid=dict(levels=(3, 4, 5, 6, 7), channels=16)),
    neck=None,
    bbox_head=dict(num_classes=4, in_channels=16, feat_channels=16),
    test_cfg=dict(score_thr=0.0))
"""
DATA = """
data = dict(
    data_root={root!r}, metainfo=dict(classes=('disc', 'square', 'triangle', 'star')))
train_dataloader = dict(num_workers=1, dataset=dict(
    ann_file='annotations/train.json', data_prefix=dict(img='train/'), **data))
val_dataloader = dict(num_workers=1, dataset=dict(
    ann_file='annotations/val.json', data_prefix=dict(img='val/'), **data))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file={root!r} + '/annotations/val.json')
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=1)
default_hooks = dict(logger=dict(interval=1))
"""
SCALE = [
    'train_dataloader.dataset.pipeline.2.scale=(96,64)',
    'model.data_preprocessor.pad_size_divisor=32',
]


@pytest.fixture
def config(tmp_path, shapes):
    path = tmp_path / 'foreign.py'
    path.write_text(USER_CONFIG + DATA.format(root=str(shapes)))
    return path


def read_losses(work_dir):
    (log,) = work_dir.glob('*/vis_data/scalars.json')
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    return [entry['loss'] for entry in entries if 'loss' in entry]


def test_user_config_trains_tests_and_resumes(run_tool, config, tmp_path):
    work = tmp_path / 'work_dirs' / 'foreign'
    args = ['--amp', '--auto-scale-lr', '--cfg-options', *SCALE]
    done = run_tool('train.py', config, *args, fresh=True)
    assert 'training in float32' in done.stdout + done.stderr or torch.cuda.is_available()
    assert len(read_losses(work)) == 3  # 6 images in batches of 2
    assert np.isfinite(read_losses(work)).all()

    checkpoint = work / 'epoch_1.pth'
    out, drawn = tmp_path / 'out.pkl', tmp_path / 'tested'
    args = ['--work-dir', drawn, '--show-dir', 'drawn', '--out', out]
    tested = run_tool('test.py', config, checkpoint, *args, fresh=True)
    assert 'coco/bbox_mAP' in tested.stdout + tested.stderr
    predictions = pickle.loads(out.read_bytes())
    assert len(predictions) == 3
    assert predictions[0]['pred_instances']['bboxes'].shape[1] == 4
    assert len(list(drawn.glob('**/drawn/*.png'))) == 3

    resumed = run_tool(
        'train.py', config, '--resume', '--cfg-options', 'train_cfg.max_epochs=2', *SCALE
    )
    assert 'resumed epoch: 1' in resumed.stdout + resumed.stderr
    assert (work / 'epoch_2.pth').is_file()


@needs_compiler
def test_compiled_for_images_of_many_sizes(root, config, tmp_path, monkeypatch):
    """The blocks are compiled once or twice per level, not for each of the 12 images' sizes."""
    monkeypatch.chdir(tmp_path)
    torch.compiler.reset()
    train = runpy.run_path(str(root / 'tools' / 'train.py'))
    resize = 'train_dataloader.dataset.pipeline.2'
    settings = [f'{resize}.type=RandomResize', f'{resize}.scale=[(64,64),(160,320)]']
    settings += [f'{resize}.keep_ratio=False', 'train_dataloader.batch_size=2', SCALE[1]]
    settings += ['train_cfg.max_epochs=4', 'train_cfg.val_interval=9']
    # a name of its own: mmengine reuses the visualizer, with its folder, of an earlier test
    settings += ['visualizer.name=compiled']
    runner = train['prepare'](train['parse_args']([str(config), '--cfg-options', *settings]))
    counter = CompileCounterWithBackend('eager')
    compile_blocks(runner.model, counter)
    runner.train()
    losses = read_losses(tmp_path / 'work_dirs' / 'foreign')
    assert len(losses) == 12
    assert np.isfinite(losses).all()
    assert 0 < counter.frame_count <= 12


@needs_compiler
def test_compile_option(run_tool, config, tmp_path):
    """A single block, since torch's own compiler takes a while for each."""
    arch = ['model.backbone.arch.blocks=(0,1,0,0)', 'model.backbone.arch.num_stages=1']
    run_tool(
        'train.py',
        *(config, '--compile', '--cfg-options', 'train_cfg.val_interval=9', *arch, *SCALE),
        fresh=True,
    )
    assert np.isfinite(read_losses(tmp_path / 'work_dirs' / 'foreign')).all()


def test_two_processes(run_tool, config, tmp_path):
    work = tmp_path / 'dist'
    run_tool('dist_train.sh', config, 2, '--work-dir', work, '--cfg-options', *SCALE)
    assert (work / 'epoch_1.pth').is_file()
    assert len(read_losses(work)) == 2  # 6 images in two processes with batches of 2
    result = run_tool('dist_test.sh', config, work / 'epoch_1.pth', 2, '--work-dir', work)
    assert 'coco/bbox_mAP' in result.stdout + result.stderr


def test_recipe_trains(run_tool, root, tmp_path, shapes):
    """configs/retinanet/cednet_t.py with fewer channels and other data, otherwise unchanged."""
    path = tmp_path / 'recipe.py'
    path.write_text(
        f"_base_ = '{root / 'configs/retinanet/cednet_t.py'}'\n"
        'model = dict(\n'
        '    backbone=dict(\n'
        '        arch=dict(_delete_=True, channels=(4, 6, 8, 10), blocks=(1, 1, 1, 1), num_stages=3),\n'
        '        pyramid=dict(channels=8)),\n'
        '    bbox_head=dict(num_classes=4, in_channels=8, feat_channels=8))\n'
        f'data = dict(data_root={str(shapes)!r},\n'
        "    metainfo=dict(classes=('disc', 'square', 'triangle', 'star')))\n"
        'train_dataloader = dict(num_workers=1, dataset=dict(dataset=dict(\n'
        "    ann_file='annotations/train.json', data_prefix=dict(img='train/'), **data)))\n"
        'val_dataloader = dict(dataset=dict(\n'
        "    ann_file='annotations/val.json', data_prefix=dict(img='val/'), **data))\n"
        'test_dataloader = val_dataloader\n'
        f"val_evaluator = dict(ann_file={str(shapes)!r} + '/annotations/val.json')\n"
        'test_evaluator = val_evaluator\n'
        'train_cfg = dict(max_epochs=1)\n'
        'default_hooks = dict(logger=dict(interval=1))\n'
    )
    result = run_tool('train.py', path, '--work-dir', tmp_path / 'work')
    assert np.isfinite(read_losses(tmp_path / 'work')).all()
    assert 'lr 1.000e-04, weight decay' in result.stdout + result.stderr


SEGMENTER = """
default_scope = 'mmseg'
custom_imports = dict(imports=['mmcednet'])
arch = dict(channels=(8, 16, 24, 32), blocks=(1, 1, 2, 1), num_stages=2)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', size=(64, 64)),
    backbone=dict(type='CEDNet', arch=arch, out_levels=(2, 3)),
    decode_head=dict(
        type='FCNHead', in_channels=16, in_index=1, channels=8, num_convs=1, num_classes=5,
        norm_cfg=dict(type='BN')),
    test_cfg=dict(mode='whole'))
pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
dataset = dict(
    type='BaseSegDataset', data_root={root!r}, img_suffix='.png', seg_map_suffix='.png',
    metainfo=dict(classes=('background', 'disc', 'square', 'triangle', 'star')), pipeline=pipeline)
train_dataloader = dict(
    batch_size=3, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(data_prefix=dict(img_path='train', seg_map_path='labels/train'), **dataset))
test_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(data_prefix=dict(img_path='val', seg_map_path='labels/val'), **dataset))
test_evaluator = dict(type='IoUMetric')
train_cfg = dict(by_epoch=True, max_epochs=1)
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01))
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=1), visualization=dict(type='SegVisualizationHook'))
visualizer = dict(type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
"""


def test_segmenter(run_tool, tmp_path, shapes):
    path = tmp_path / 'segmenter.py'
    path.write_text(SEGMENTER.replace('{root!r}', repr(str(shapes))))
    run_tool('train.py', path, '--work-dir', tmp_path / 'work')
    assert np.isfinite(read_losses(tmp_path / 'work')).all()
    args = [path, tmp_path / 'work' / 'epoch_1.pth', '--out', tmp_path / 'maps']
    result = run_tool('test.py', *args, '--show-dir', tmp_path / 'drawn')
    assert 'mIoU' in result.stdout + result.stderr
    assert len(list((tmp_path / 'maps').glob('*.png'))) == 3
    assert len(list((tmp_path / 'drawn').rglob('*.png'))) == 3


ADE20K = """
_base_ = {base!r}
model = dict(
    backbone=dict(arch=dict(_delete_=True, channels=(4, 6, 8, 10), blocks=(1, 1, 1, 1), num_stages=3)),
    decode_head=dict(in_channels=[4, 6, 8, 10], channels=8),
    auxiliary_head=dict(in_channels=6, channels=8))
train_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(data_root={data!r}))
val_dataloader = dict(
    num_workers=0, persistent_workers=False, dataset=dict(data_root={data!r}, indices=2))
test_dataloader = val_dataloader
train_cfg = dict(max_iters=2, val_interval=2)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=2))
"""


# test_segmenters.py tests the recipe's
SMALL_SCALES = [f'tta_pipeline.1.transforms.0.{i}.scale=(128,{32 * i + 32})' for i in range(6)]


@pytest.fixture
def segmenter(root, ade20k, tmp_path):
    """configs/upernet/cednet_t.py with fewer channels and other data, otherwise unchanged."""
    path = tmp_path / 'segmenter.py'
    path.write_text(ADE20K.format(base=str(root / 'configs/upernet/cednet_t.py'), data=str(ade20k)))
    return path


def test_ade20k_recipe_trains_and_tests(run_tool, segmenter, tmp_path, ade20k):
    work = tmp_path / 'work_dirs' / 'segmenter'
    done = run_tool('train.py', segmenter)
    assert np.isfinite(read_losses(work)).all()
    assert 'lr 1.000e-04, weight decay' in done.stdout + done.stderr
    assert 'mIoU: ' in done.stdout + done.stderr
    checkpoint = work / 'iter_2.pth'
    plain = run_tool('test.py', segmenter, checkpoint, '--show-dir', 'drawn')
    args = ['--tta', '--out', tmp_path / 'maps', '--cfg-options', *SMALL_SCALES]
    multi = run_tool('test.py', segmenter, checkpoint, *args)
    assert set(read_metrics(tmp_path / 'work_dirs', segmenter, segmenter.name)) == {
        'miou_ss',
        'miou_ms',
    }
    assert 'mIoU: ' in plain.stdout + plain.stderr
    assert 'mIoU: ' in multi.stdout + multi.stderr
    maps = sorted((tmp_path / 'maps').glob('*.png'))
    assert [path.name for path in maps] == [f'{i:05d}.png' for i in range(2)]
    ids = cv2.imread(str(maps[0]), cv2.IMREAD_UNCHANGED)
    assert ids.shape == (64, 64)
    assert ids.min() >= 1  # as on disk, where 0 means no class
    assert ids.max() <= 150
    assert len(list(work.rglob('drawn/**/*.png'))) == 2


def test_segmenter_in_two_processes(run_in_two, segmenter, tmp_path):
    work = tmp_path / 'dist'
    run_in_two('train.py', segmenter, '--work-dir', work)
    assert len(read_losses(work)) == 2
    args = ['--work-dir', work, '--tta', '--cfg-options', *SMALL_SCALES]
    result = run_in_two('test.py', segmenter, work / 'iter_2.pth', *args)
    assert 'mIoU: ' in result.stdout + result.stderr


def test_all_processes_stop_at_an_invalid_label_map(run_tool, segmenter, tmp_path, ade20k):
    broken = shutil.copytree(ade20k, tmp_path / 'broken')
    path = broken / 'annotations' / 'training' / '00001.png'
    cv2.imwrite(str(path), np.full((64, 64), 200, np.uint8))
    options = ['--cfg-options', f'train_dataloader.dataset.data_root={broken}']
    result = run_tool('dist_train.sh', segmenter, 2, *options, expected_code=1)
    errors = [line for line in result.stderr.splitlines() if line.startswith('error: ')]
    # torchrun stops the other process once the first has ended, at times before it has said so too
    assert len(errors) in (1, 2)
    assert all(line.startswith(f'error: the label map {path} has the id 200; ') for line in errors)
    assert 'Connection closed by peer' not in result.stderr


CLASSIFIER = """
default_scope = 'mmpretrain'
custom_imports = dict(imports=['mmcednet'])
arch = dict(channels=(8, 16, 24, 32), blocks=(1, 1, 2, 1), num_stages=2)
model = dict(
    type='ImageClassifier',
    backbone=dict(type='CEDNet', arch=arch, final_decoder=False, out_levels=(5,)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=2, in_channels=32))
data_preprocessor = dict(num_classes=2)
pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
loader = dict(batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True))
dataset = dict(type='CustomDataset', data_root='images', pipeline=pipeline)
train_dataloader = dict(dataset=dataset, **loader)
test_dataloader = train_dataloader
test_evaluator = dict(type='Accuracy', topk=(1,))
train_cfg = dict(by_epoch=True, max_epochs=1)
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01))
default_hooks = dict(logger=dict(type='LoggerHook', interval=1))
"""


def test_classifier(run_tool, tmp_path):
    rng = np.random.RandomState(0)
    for name, brightest in (('dark', 100), ('bright', 256)):
        (tmp_path / 'images' / name).mkdir(parents=True)
        for i in range(2):
            pixels = rng.randint(brightest, size=(32, 32, 3)).astype(np.uint8)
            cv2.imwrite(str(tmp_path / 'images' / name / f'{i}.png'), pixels)
    path = tmp_path / 'classifier.py'
    path.write_text(CLASSIFIER)
    run_tool('train.py', path, '--work-dir', tmp_path / 'work')
    assert np.isfinite(read_losses(tmp_path / 'work')).all()
    result = run_tool('test.py', path, tmp_path / 'work' / 'epoch_1.pth')
    assert 'accuracy/top1' in result.stdout + result.stderr


def test_usage_of_the_shell_scripts(run_tool, config):
    assert 'CONFIG GPUS' in run_tool('dist_train.sh', config, expected_code=2).stderr


def test_images_that_cannot_be_used_are_reported(run_tool, config, shapes, tmp_path):
    broken = tmp_path / 'data'
    shutil.copytree(shapes, broken)
    for image in (broken / 'train').iterdir():
        image.write_bytes(image.read_bytes()[:60])  # its size can still be read
    config.write_text(USER_CONFIG + DATA.format(root=str(broken)))
    result = run_tool('train.py', config, '--cfg-options', *SCALE, expected_code=1, fresh=True)
    error = 'error: 20 images in a row cannot be used; the last one: the image '
    assert f'{error}{broken / "train"}' in result.stderr
    assert 'Traceback' not in result.stderr
