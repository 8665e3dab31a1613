"""No tool runs code of a checkpoint."""

import pytest
from hostile_checkpoints import write_all

TOOLS = {
    'train load_from': ('train.py', '{config}', '--cfg-options', 'load_from={checkpoint}'),
    'train --pretrained': ('train.py', '{config}', '--pretrained', '{checkpoint}'),
    'train --resume FILE': ('train.py', '{config}', '--resume', '{checkpoint}'),
    'train --resume': ('train.py', '{config}', '--resume', '--work-dir', '{folder}'),
    'test': ('test.py', '{config}', '{checkpoint}'),
    'infer': ('infer.py', '{config}', '{checkpoint}', '{image}', '-o', 'drawn'),
    'web_demo': ('web_demo.py', '{config}', '{checkpoint}'),
    'export': ('export.py', '{config}', '{checkpoint}', '-o', 'model.onnx'),
    'publish': ('model_converters/publish.py', '{checkpoint}', '-o', 'out.pth'),
    'baselines': ('model_converters/baselines.py', 'cswin', '{checkpoint}', 'out.pth'),
    'convnext_to_cednet': ('model_converters/convnext_to_cednet.py', '{checkpoint}', '-o', 'out.pth'),
    'distill': (
        'distill.py',
        '--teacher',
        '{checkpoint}',
        '--images',
        '{image.parent}',
        '-o',
        'out.pth',
    ),
    'timm': (
        'distill.py',
        '--teacher',
        'timm:resnet10t={checkpoint}',
        '--images',
        '{image.parent}',
        '-o',
        'out.pth',
    ),
    'official_cednet': ('model_converters/official_cednet.py', '{checkpoint}', 'out.pth'),
}

NEEDED = {'web_demo': 'gradio', 'export': 'onnxscript'}  # packages that an environment may lack


@pytest.mark.slow
@pytest.mark.parametrize('name', TOOLS)
def test_tools_refuse(name, get_error, config, shapes, tmp_path):
    if name in NEEDED:
        pytest.importorskip(NEEDED[name])
    marker = tmp_path / 'marker'
    tool, *args = TOOLS[name]
    image = next((shapes / 'val').glob('*.png'))
    for checkpoint in write_all(tmp_path, marker).values():
        (tmp_path / 'last_checkpoint').write_text(str(checkpoint))
        names = dict(config=config, checkpoint=checkpoint, image=image, folder=tmp_path)
        message = get_error(tool, *(arg.format(**names) for arg in args))
        assert str(checkpoint) in message
        assert not marker.exists()


def test_weights_of_a_baseline(get_error, config, tmp_path):
    """They are loaded by mmengine."""
    marker = tmp_path / 'marker'
    checkpoint = write_all(tmp_path, marker)['copy']
    option = f'model.bbox_head.init_cfg.checkpoint={checkpoint}'
    message = get_error(
        'train.py', config, '--cfg-options', 'model.bbox_head.init_cfg.type=Pretrained', option
    )
    assert message.startswith(f'error: {checkpoint} contains shutil.copyfile')
    assert not marker.exists()
