"""User errors on the command line are reported in one sentence, with exit code 1."""

import re

import pytest
import torch
from mmengine.runner import Runner
from small_models import SHAPES, save_random_model


def test_missing_config(get_error):
    assert get_error('train.py', 'absent.py') == 'error: config absent.py does not exist'
    assert get_error('test.py', 'absent.py', 'x.pth') == 'error: config absent.py does not exist'


@pytest.mark.parametrize(
    'content, message',
    [
        (
            'a = (',
            "config mine.py does not load: SyntaxError: '(' was never closed (<unknown>, line 1)",
        ),
        ('a = b', "config mine.py does not load: NameError: name 'b' is not defined"),
        (
            "custom_imports = dict(imports=['no'])",
            'config mine.py does not load: ImportError: Failed to import no',
        ),
        ('', 'config mine.py has no model'),
        ('model = dict()', 'the config has no train_dataloader, which mmcednet train needs'),
    ],
)
def test_configs_that_do_not_load_or_lack_a_setting(get_error, tmp_path, content, message):
    (tmp_path / 'mine.py').write_text(content)
    assert get_error('train.py', 'mine.py').startswith(f'error: {message}')


def test_a_file_that_is_no_config(get_error, tmp_path):
    (tmp_path / 'README.md').touch()
    message = get_error('train.py', 'README.md')
    assert message == 'error: README.md is no config, which ends in one of: .py, .json, .yaml, .yml'


def test_options_without_a_value(load_main, capsys):
    with pytest.raises(SystemExit):
        load_main('train.py')(['config.py', '--cfg-options', 'foo'])
    error = capsys.readouterr().err
    assert error.endswith("error: argument --cfg-options: 'foo' must be KEY=VALUE\n")


def test_a_training_without_epochs(get_error, config):
    message = get_error('train.py', config, '--cfg-options', 'train_cfg.max_epochs=0')
    assert message == 'error: train_cfg.max_epochs=0 must be at least 1'


@pytest.mark.parametrize(
    'tool, option', [('train.py', '--resume'), ('test.py', ''), ('evaluate.py', '')]
)
def test_missing_checkpoints_are_found_before_the_model_is_built(
    get_error, config, tool, option, monkeypatch
):
    monkeypatch.setattr(Runner, 'from_cfg', None)
    message = get_error(tool, config, *filter(None, [option, 'nothere.pth']))
    assert message == 'error: the checkpoint nothere.pth does not exist'


def test_missing_annotation_file(get_error, config, shapes):
    option = 'train_dataloader.dataset.ann_file=absent.json'
    message = get_error('train.py', config, '--cfg-options', option)
    assert message.startswith(f'error: the annotation file {shapes}/absent.json does not exist')


def test_unknown_style(get_error, config):
    message = get_error('train.py', config, '--cfg-options', 'model.backbone.style=pan')
    assert message.startswith('error: ')
    assert "style 'pan' is unknown; choose one of: fpn" in message


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        (
            'model.backbone.arhc=tiny',
            r"a setting is wrong: CEDNet\.__init__\(\) got .* argument 'arhc'",
        ),
        (
            'model.backbone.type=CEDnet',
            r'CEDnet is not in the mmdet::model registry; check',
        ),
        (
            'train_dataloader.batchsize=2',
            r"a setting is wrong: DataLoader\.__init__\(\) .* 'batchsize'",
        ),
        (
            'train_cfg.maxepochs=2',
            r"a setting is wrong: EpochBasedTrainLoop\.__init__\(\) .*'maxepochs'",
        ),
        ('optim_wrapper.paramwise_cfg.decay_rate=2', r'paramwise_cfg \{.*\} must have decay_type'),
        (
            'model.type=mmdet.RetinaHeed',
            r'mmdet\.RetinaHeed is not in the mmdet::model registry; check',
        ),
        ('max_epoch=2', r'--cfg-options max_epoch=2: a config has no setting max_epoch'),
    ],
)
def test_wrong_settings(get_error, config, option, message):
    options = ['optim_wrapper.constructor=LayerDecayOptimWrapperConstructor', option]
    text = get_error('train.py', config, '--cfg-options', *options)
    assert re.match(f'error: {message}', text) and text.count('\n') == 0


def test_checkpoint_of_another_model(get_error, config, tmp_path):
    path = tmp_path / 'other.pth'
    torch.save(dict(state_dict={'backbone.stem.conv1.weight': torch.zeros(2)}), path)
    message = get_error('test.py', config, path)
    assert message.startswith(f'error: {path} does not fit the model: backbone.stem.conv1')


def test_out_without_a_suffix(get_error, config):
    message = get_error('test.py', config, 'x.pth', '--out', 'other.txt')
    assert 'other.txt must end in .pkl' in message


def test_missing_pretrained_weights(get_error, config):
    message = get_error('train.py', config, '--pretrained', 'absent.pth')
    assert message.startswith('error: --pretrained absent.pth does not exist; mmcednet comes with')


def test_pretrained_weights_that_do_not_fit(get_error, config, tmp_path):
    path = tmp_path / 'other.pth'
    torch.save(dict(state_dict={'layer.weight': torch.zeros(2)}), path)
    message = get_error('train.py', config, '--pretrained', path)
    assert message.startswith(f'error: {path} contains no weights of CEDNet')
    arch = 'model.backbone.arch.channels=[8,16,24,32]'
    message = get_error('train.py', config, '--pretrained', 'nano', '--cfg-options', arch)
    assert message.startswith('error: mmcednet://nano does not fit the model: backbone.')


def test_pretrained_excludes_resuming_from_a_file(get_error, config):
    message = get_error('train.py', config, '--pretrained', 'x.pth', '--resume', 'y.pth')
    assert message.startswith('error: --pretrained x.pth has no effect with --resume y.pth')


def test_a_new_training_does_not_overwrite_another(get_error, config, tmp_path):
    (tmp_path / 'work').mkdir()
    save_random_model(config, tmp_path / 'work' / 'epoch_2.pth', classes=SHAPES)
    message = get_error('train.py', config, '--work-dir', tmp_path / 'work')
    assert message.startswith(f'error: {tmp_path / "work"} has the checkpoints of a training')


def test_existing_annotations_are_kept(get_error, shapes, tmp_path):
    path = tmp_path / 'a.json'
    path.write_bytes((shapes / 'annotations' / 'val.json').read_bytes())
    before = path.read_bytes()
    message = get_error('dataset_converters/fill_supercategories.py', path, '-o', path)
    assert message == f'error: {path} exists already; remove it, or choose another name'
    assert path.read_bytes() == before


def test_only_cednet_is_compiled(get_error, config, shapes, tmp_path):
    with config.open('a') as file:
        file.write(
            "resnet = dict(_delete_=True, type='ResNet', depth=18)\n"
            "fpn = dict(_delete_=True, type='FPN', in_channels=[64, 128, 256, 512], out_channels=48)\n"
            'model = dict(backbone=resnet, neck=dict(fpn, num_outs=4))\n'
        )
    checkpoint = save_random_model(config, tmp_path / 'a.pth', classes=SHAPES)
    infer = [checkpoint, shapes / 'val', '-o', tmp_path / 'out', '--device', 'cpu']
    for tool, args in (('train.py', []), ('test.py', [checkpoint]), ('infer.py', infer)):
        message = get_error(tool, config, *args, '--compile')
        assert message.startswith('error: there is no CEDNet in the model')
    assert not (tmp_path / 'out').exists()
