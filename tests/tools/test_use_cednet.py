"""tools/use_cednet.py on configs of the installed toolboxes."""

from pathlib import Path

import pytest
from mmengine.config import Config

CORNERNET = 'mmdet::cornernet/cornernet_hourglass104_8xb6-210e-mstest_coco.py'


@pytest.fixture
def main(load_main):
    return load_main('use_cednet.py')


def test_config_of_mmdet(main, tmp_path, capsys):
    out = tmp_path / 'my.py'
    assert main(['mmdet::yolof/yolof_r50-c5_8xb8-1x_coco.py', '--arch', 'r50_t', '-o', str(out)]) == 0
    printed = capsys.readouterr().out
    assert out.read_text() in printed and f'Written to {out}' in printed
    cfg = Config.fromfile(out)
    assert cfg.model.backbone == dict(type='CEDNet', arch='r50_t', out_levels=(5,), final_decoder=False)
    assert cfg.model.neck.type == 'DilatedEncoder' and cfg.model.neck.in_channels == 384
    assert cfg.custom_imports.imports == ['mmcednet']
    assert cfg.train_dataloader.dataset.type == 'CocoDataset'  # the rest is the base's


def test_config_of_mmseg(main, tmp_path):
    """By name, although mmengine may not find it by this name."""
    out = tmp_path / 'my.py'
    name = 'segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py'
    assert main([f'mmseg::{name}', '-o', str(out)]) == 0
    cfg = Config.fromfile(out)
    assert cfg.model.decode_head.in_channels == [96, 192, 352, 512]
    assert 'layer_scale' not in cfg.model.backbone  # that for random weights


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        ('absent.py', 'config absent.py does not exist'),
        ('mmdet::fcos/absent.py', 'config mmdet::fcos/absent.py does not exist'),
        ('mmocr::x.py', 'mmocr::x.py is not a config of an installed mmdet, mmseg, mmpretrain'),
        (
            'mmdet::common/ms_3x_coco.py',
            'mmdet::common/ms_3x_coco.py: it has no model; a model needs a backbone that is a part of '
            'its own, model.backbone',
        ),
        (
            CORNERNET,
            f'{CORNERNET}: CEDNet cannot replace HourglassNet: each hourglass returns stride 4, with a '
            f'loss of its own; CEDNet has stride 4 once',
        ),
    ],
)
def test_error(main, config, message, tmp_path):
    out = tmp_path / 'out' / 'my.py'
    with pytest.raises(SystemExit) as error:
        main([config, '-o', str(out)])
    assert error.value.code == f'error: {message}'
    assert not out.parent.exists()


def test_existing_file(get_error, tmp_path):
    path = Path(tmp_path / 'my.py')
    path.write_text('# mine\n')
    message = get_error(
        'use_cednet.py', 'mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py', '-o', path
    )
    assert message == f'error: {path} exists already; remove it, or choose another name'
    assert path.read_text() == '# mine\n'


def test_unknown_arch(main, tmp_path):
    out = tmp_path / 'my.py'
    with pytest.raises(SystemExit, match=r'yolof.*arch .*huge.*tiny, small, base'):
        main(['mmdet::yolof/yolof_r50-c5_8xb8-1x_coco.py', '--arch', 'huge', '-o', str(out)])
    assert not out.exists()
