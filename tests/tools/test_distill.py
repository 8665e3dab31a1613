"""tools/distill.py and tools/model_converters/convnext_to_cednet.py, as users run them."""

import json

import pytest
import torch
from mmpretrain.models.backbones import ConvNeXt

from mmcednet.checkpoints.loading import load_checkpoint
from mmcednet.checkpoints.safe_loading import load_from_file
from mmcednet.models import CEDNet

CONFIG = """
model = dict(backbone=dict(type='CEDNet', arch={arch!r}, pyramid=dict(channels=16), layer_scale=1.0))
"""
WORKERS = ['train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False']


@pytest.fixture
def arguments(small, shapes, tmp_path):
    """The arguments of a distillation of a few iterations from a ConvNeXt with random weights."""
    model = ConvNeXt(dict(channels=small['channels'], depths=(1, 1, 1, 1)), layer_scale_init_value=1.0)
    model.init_weights()
    torch.save(model.state_dict(), tmp_path / 'convnext.pth')
    (tmp_path / 'config.py').write_text(CONFIG.format(arch=small))
    files = ['--teacher', tmp_path / 'convnext.pth', '--images', shapes / 'train']
    return [*files, '--config', tmp_path / 'config.py', '--cfg-options', *WORKERS]


def load_backbone(path, small):
    """Load a written file as the initial weights of a detector's backbone."""
    init_cfg = dict(type='Pretrained', checkpoint=str(path))
    network = CEDNet(small, pyramid=dict(channels=16), layer_scale=1.0, init_cfg=init_cfg)
    network.init_weights()
    return network


def read_scalars(work_dir):
    """What each run has logged, iteration by iteration."""
    logs = sorted(work_dir.glob('*/vis_data/scalars.json'))
    return [[json.loads(line) for line in path.read_text().splitlines()] for path in logs]


@pytest.mark.slow
def test_a_distillation_and_its_continuation(run_tool, get_error, arguments, small, tmp_path):
    """The files are as if it had been killed after half of its iterations."""
    work_dir, out = tmp_path / 'work', tmp_path / 'out.safetensors'
    saving = ['default_hooks.checkpoint.interval=10', 'default_hooks.checkpoint.max_keep_ckpts=2']
    options = [*arguments, *saving, '--batch-size', 4, '--work-dir', work_dir, '-o', out]
    result = run_tool('distill.py', *options, '--iterations', 20)
    assert 'parameters come from the ConvNeXt' in result.stdout and 'eta: ' in result.stdout
    assert f'{out}: ' in result.stdout.splitlines()[-1]
    written = load_checkpoint(str(out))['state_dict']
    assert all(key.startswith('backbone.') for key in written)
    trained = load_from_file(work_dir / 'iter_20.pth')['state_dict']
    assert all(torch.equal(value, trained[key]) for key, value in written.items())
    network = load_backbone(out, small)
    assert torch.equal(network.stem.conv1.weight, trained['backbone.stem.conv1.weight'])
    picture = (work_dir / 'losses.png').read_bytes()
    for path in (out, work_dir / 'iter_20.pth', work_dir / 'losses.png'):
        path.unlink()

    message = get_error('distill.py', *options, '--iterations', 30, '--resume')
    assert message == (
        f'error: the distillation in {work_dir} has 20 iterations, not 30: choose another --work-dir, '
        'or --iterations 20 to resume it'
    )
    result = run_tool('distill.py', *options, '--iterations', 20, '--resume', fresh=True)
    assert 'Iter(train) [20/20]' in result.stdout and 'Iter(train) [10/20]' not in result.stdout
    assert (work_dir / 'losses.png').read_bytes() == picture
    whole, continued = read_scalars(work_dir)
    assert [line['step'] for line in continued] == [20]
    assert continued[-1]['lr'] == whole[-1]['lr'] > 0
    assert continued[-1]['loss'] < whole[0]['loss']
    resumed = load_checkpoint(str(out))['state_dict']
    assert all(torch.equal(value, resumed[key]) for key, value in written.items())


@pytest.mark.slow
def test_two_processes_give_the_weights_of_one(run_tool, run_in_two, arguments, tmp_path):
    options = ['--iterations', 5, '--lr', 0.01]  # each iteration is an epoch of the six images
    one = [*arguments, *options, '--batch-size', 6, '--work-dir', 'one', '-o', tmp_path / 'one.pth']
    run_tool('distill.py', *one)
    two = [*arguments, *options, '--batch-size', 3, '--work-dir', 'two', '-o', tmp_path / 'two.pth']
    run_in_two('distill.py', *two)
    first, second = (load_from_file(tmp_path / f'{name}.pth')['state_dict'] for name in ('one', 'two'))
    assert first.keys() == second.keys()
    for key in first:
        torch.testing.assert_close(first[key], second[key], rtol=1e-3, atol=1e-4)


def test_selection_alone(load_main, arguments, small, tmp_path, capsys):
    options = ['--config', str(tmp_path / 'config.py'), '-o', str(tmp_path / 'out.pth')]
    load_main('model_converters/convnext_to_cednet.py')([str(tmp_path / 'convnext.pth'), *options])
    weight = load_from_file(tmp_path / 'convnext.pth')['stages.0.0.depthwise_conv.weight']
    assert torch.equal(load_backbone(tmp_path / 'out.pth', small).stem.blocks[0].dwconv.weight, weight)


def test_a_new_distillation_does_not_overwrite_another(get_error, arguments, tmp_path):
    (tmp_path / 'work').mkdir()
    torch.save({}, tmp_path / 'work' / 'iter_50.pth')
    message = get_error('distill.py', *arguments, '--work-dir', tmp_path / 'work', '-o', 'out.pth')
    assert message.startswith(f'error: {tmp_path / "work"} has the checkpoints of a training')


def test_fewer_images_than_a_batch(get_error, arguments, tmp_path, log):
    options = ['--teacher', 'gone.pth', '--batch-size', 7, '-o', tmp_path / 'out.pth']
    get_error('distill.py', *arguments, *options)
    assert '--batch-size 7 is more than the 6 images: each batch has some of them several' in log.text


def test_errors(get_error, arguments, nano, shapes, tmp_path):
    out = ['-o', tmp_path / 'out.pth']
    images = ['--images', shapes / 'train']
    teacher = ['--teacher', tmp_path / 'convnext.pth']
    assert get_error('distill.py', *teacher, '--images', 'gone', *out) == (
        'error: the image folder gone does not exist'
    )
    (tmp_path / 'texts').mkdir()
    (tmp_path / 'texts' / 'a.txt').touch()
    assert get_error('distill.py', *teacher, *images, 'texts', *out) == (
        'error: the image folder texts has no files that end in one of: .jpg, .jpeg, .png, .ppm, .bmp, '
        '.pgm, .tif, .tiff, .webp'
    )
    message = get_error('distill.py', '--teacher', 'gone.pth', *images, *out)
    assert message.startswith(
        'error: --teacher gone.pth is no file; a network of a library is timm:NAME'
    )
    message = get_error('distill.py', *teacher, *images, *out, '--size', 31)
    assert message == 'error: --size 31 must be at least 32'
    message = get_error('distill.py', *teacher, *images, *out, '--teacher-scale', 0)
    assert message == 'error: --teacher-scale 0.0 must be more than 0'
    message = get_error('distill.py', *teacher, *images, '-o', 'out.bin')
    assert message == 'error: out.bin must end in one of: .safetensors, .pth'
    (tmp_path / 'mine.pth').write_text('mine')
    message = get_error('distill.py', *teacher, *images, '-o', 'mine.pth')
    assert message == 'error: mine.pth exists already; remove it, or choose another name'
    assert (tmp_path / 'mine.pth').read_text() == 'mine'
    message = get_error(
        'model_converters/convnext_to_cednet.py', tmp_path / 'convnext.pth', '--arch', 'nano', *out
    )
    assert 'CEDNet has 16 channels at stride 4, the ConvNeXt only 8' in message
    pretrained = ['--pretrained', tmp_path / 'convnext.pth']
    for student, command in (
        (f'--config {nano}', ['train.py', nano]),
        ('--arch tiny', ['new_config.py', '--data', shapes, '--arch', 'tiny', '-o', 'x.py']),
        ('--arch nano', ['distill.py', *teacher, *images, *out]),
        (f'--config {nano}', ['distill.py', *teacher, *images, *out, '--config', nano]),
    ):
        message = get_error(*command, *pretrained)
        assert 'has weights of a ConvNeXt; a CEDNet learns from them with: mmcednet distill' in message
        assert f' --images FOLDER {student} -o ' in message
    assert not (tmp_path / 'out.pth').exists()
