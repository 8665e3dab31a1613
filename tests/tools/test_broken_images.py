"""Damaged and unusual images through infer, test and train: a result, or an error with their name."""

import json
import shutil
import subprocess
import sys
from collections import Counter

import pytest
from broken_images import KINDS, write_images
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope
from small_models import SHAPES

from mmcednet.checks import check_data
from mmcednet.images import IMAGE_ERRORS, ImageError, read_size
from mmcednet.launch.config import name_images_in_errors

NUMBER = 300
MEMORY = 3000  # MiB; 1,100 on the machine of the first run, of which 600 are the libraries
# These are read by each of the commands
GOOD = ('valid', 'suffix', '16-bit', 'mode', 'animated', 'rotated')
NEVER = ('magic', 'text', 'bomb', 'true-bomb')


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('broken') / 'images', NUMBER)


def get_kind(name):
    return name.rpartition('-')[0]


def measure(command, folder):
    """Run a command; return its exit code, stdout, stderr and the peak of its memory in MiB."""
    # Linux counts the memory of the process that starts another one: so a small one starts it
    script = (
        'import resource, subprocess, sys\n'
        'code = subprocess.call(sys.argv[1:])\n'
        'usage = resource.getrusage(resource.RUSAGE_CHILDREN)\n'
        "open('memory', 'w').write(str(usage.ru_maxrss / 1024))\n"
        'sys.exit(code)'
    )
    result = subprocess.run(
        [sys.executable, '-c', script, *map(str, command)], cwd=folder, capture_output=True, text=True
    )
    memory = float((folder / 'memory').read_text())
    return result.returncode, result.stdout, result.stderr, memory


@pytest.mark.slow
def test_infer(root, images, nano, checkpoint, tmp_path):
    command = [sys.executable, root / 'tools' / 'infer.py', nano, checkpoint, images[0].parent]
    code, _, stderr, memory = measure(
        [*command, '-o', 'out', '--device', 'cpu', '--batch', 4], tmp_path
    )
    assert code == 1, stderr[-3000:]
    assert 'Traceback' not in stderr
    lines = stderr.splitlines()
    skipped = {
        line.split()[1] for line in lines if line.startswith('warning: ') and ' skipped: ' in line
    }
    assert lines[-1].startswith(f'error: {len(skipped)} of {NUMBER} files could not be read: ')
    stems = {path.stem for path in (tmp_path / 'out' / 'drawn').iterdir()}
    drawn = {path.name for path in images if path.stem in stems}
    assert drawn | skipped == {path.name for path in images}
    assert not drawn & skipped
    assert all(get_kind(name) not in GOOD for name in skipped), skipped
    assert all(get_kind(name) not in NEVER for name in drawn), drawn
    assert memory < MEMORY
    print(f'{len(drawn)} drawn, {len(skipped)} skipped, {memory:.0f} MiB')


def set_only_image(cfg, path, folder):
    """Make an image the only one in training, validation and test."""
    try:
        width, height, _ = read_size(path) or (64, 64, False)
    except ImageError:
        width, height = 64, 64
    content = dict(
        images=[dict(id=1, file_name=path.name, width=width, height=height)],
        categories=[dict(id=i, name=name) for i, name in enumerate(SHAPES)],
        annotations=[
            dict(
                id=1,
                image_id=1,
                category_id=2,
                bbox=[0, 0, width, height],
                area=width * height,
                iscrowd=0,
            )
        ],
    )
    ann_file = folder / f'{path.name}.json'
    ann_file.write_text(json.dumps(content))
    cfg.val_evaluator.ann_file = str(ann_file)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        paths = dict(data_root='', ann_file=str(ann_file), data_prefix=dict(img=f'{path.parent}/'))
        loader.dataset.update(paths, serialize_data=False)  # which collects garbage, for 0.3 s


@pytest.mark.slow
def test_checks_training_and_test(images, nano, tmp_path):
    """The pre-flight check of an image; if it passes, a training with it; and a test's pipeline."""
    init_default_scope('mmdet')
    cfg = Config.fromfile(nano)
    name_images_in_errors(cfg, 'test')
    model = MODELS.build(cfg.model)
    outcomes = Counter()
    for index, path in enumerate(images):
        set_only_image(cfg, path, tmp_path)
        kind = get_kind(path.name)
        try:
            check_data(cfg, 'train', 'val')
            outcomes[train(cfg, model if index < 3 * len(KINDS) else None)] += 1
            assert kind not in NEVER
        except ValueError as error:
            outcomes['refused'] += 1
            assert str(path) in str(error)
            assert kind not in GOOD, error
        try:
            DATASETS.build(cfg.test_dataloader.dataset)[0]
            outcomes['tested'] += 1
            assert kind not in NEVER
        except ImageError as error:
            outcomes['named in the test'] += 1
            assert str(path) in str(error)
            assert kind not in GOOD, error
    print(outcomes)


def train(cfg, model):
    """Load the image as in training, and compute the losses if there is a model."""
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    try:
        sample = dataset[0]
    except (AssertionError, *IMAGE_ERRORS):  # damaged behind the header
        return 'damaged'
    if model is None:
        return 'loaded'
    data = dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']])
    losses = model(**model.data_preprocessor(data, training=True), mode='loss')
    assert all(loss.isfinite() for values in losses.values() for loss in values)
    return 'trained'


@pytest.mark.slow
@pytest.mark.parametrize('workers', [0, 1])
def test_evaluation_names_the_image(root, nano, checkpoint, shapes, tmp_path, workers):
    """tools/test.py on a folder in which the pixels of one image are damaged, not its header."""
    folder = shutil.copytree(shapes / 'val', tmp_path / 'val')
    damaged = folder / '00001.png'
    damaged.write_bytes(damaged.read_bytes()[:300])
    options = [f'test_dataloader.dataset.data_root={shapes}', f'test_dataloader.num_workers={workers}']
    options += [f'test_dataloader.dataset.data_prefix.img={folder}/', 'test_dataloader.batch_size=1']
    options += [f'test_evaluator.ann_file={shapes}/annotations/val.json']
    command = [sys.executable, root / 'tools' / 'test.py', nano, checkpoint, '--cfg-options', *options]
    code, _, stderr, _ = measure(command, tmp_path)
    assert code == 1
    assert stderr.splitlines()[-1] == (
        f'error: the image {damaged} cannot be used: it is not an image, or is damaged'
    )
    assert 'Traceback' not in stderr
