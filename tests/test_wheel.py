"""The wheel contains what users run, and not what needs or writes other files of the repository."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest

from mmcednet.checkpoints.shipped import SHIPPED
from mmcednet_cli import COMMANDS


@pytest.fixture(scope='module')
def build(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel contains in lib/, and the description of the distribution."""
    folder = tmp_path_factory.mktemp('build')
    command = [sys.executable, 'setup.py', '-q', 'egg_info', '--egg-base', folder]
    subprocess.run([*command, 'build', '--build-base', folder], cwd=root, check=True)
    return folder


@pytest.fixture
def run(build: Path, tmp_path: Path) -> Iterator[Callable[..., subprocess.CompletedProcess]]:
    """Run the command of the wheel in a temporary folder, as the script that pip writes does."""
    metadata = ConfigParser()
    metadata.read(build / 'mmcednet.egg-info' / 'entry_points.txt')
    module, function = metadata['console_scripts']['mmcednet'].split(':')
    code = f'import sys; from {module} import {function}; sys.exit({function}())'
    env = dict(os.environ, PYTHONPATH=str(build / 'lib'))

    def call(*args: object) -> subprocess.CompletedProcess:
        command = [sys.executable, '-c', code, *map(str, args)]
        result = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return result

    yield call


def test_tools_of_the_wheel(build):
    for module in ('mmcednet_threads', 'mmcednet_arguments', 'mmcednet_cli'):
        assert (build / 'lib' / f'{module}.py').is_file()
    package = build / 'lib' / 'mmcednet'
    tools = package / '.mim' / 'tools'
    assert {path.relative_to(tools).as_posix() for path in tools.rglob('*') if path.is_file()} == {
        *('train.py', 'test.py', 'infer.py', 'export.py', 'web_demo.py', 'new_config.py'),
        *('use_cednet.py', 'draw_shapes.py', 'dist_train.sh', 'dist_test.sh', 'slurm_train.sh'),
        'analysis/fusion_time.py',
        *('dataset_converters/split_coco.py', 'dataset_converters/voc_to_coco.py'),
        'dataset_converters/split_images.py',
        *('dataset_converters/tiny_imagenet.py', 'dataset_converters/fill_supercategories.py'),
        *('dataset_converters/yolo_to_coco.py', 'dataset_converters/labelme_to_coco.py'),
        *('model_converters/official_cednet.py', 'model_converters/baselines.py'),
        *('model_converters/publish.py', 'model_converters/convnext_to_cednet.py'),
        *('evaluate.py', 'distill.py'),
    }
    assert (package / '.mim' / 'configs' / 'retinanet' / 'cednet_t.py').is_file()
    assert (package / 'models' / 'kernels' / 'triton' / 'tiles.json').is_file()
    weights = package / 'checkpoints' / 'weights'
    assert {path.name for path in weights.iterdir()} == {'README.md', *SHIPPED.values()}
    assert not list(package.rglob('*paper*'))


def test_every_tool_of_the_wheel_is_a_command(build):
    tools = build / 'lib' / 'mmcednet' / '.mim' / 'tools'
    scripts = {path.relative_to(tools).as_posix() for path in tools.rglob('*.py')}
    assert set(COMMANDS.values()) == scripts
    assert list(COMMANDS) == [Path(script).stem.replace('_', '-') for script in COMMANDS.values()]


def test_the_command_lists_all_commands(run):
    words = run().stdout.split()
    assert [word for word in words if word in COMMANDS][-len(COMMANDS) :] == list(COMMANDS)
    assert run('--version').stdout.startswith('mmcednet ')


@pytest.mark.slow
def test_the_command_writes_a_config_and_predicts(run, root, shapes, tmp_path):
    result = run('new-config', '--data', shapes, '--arch', 'nano', '-o', 'my.py')
    assert 'next: mmcednet train my.py' in result.stdout
    example = root / 'examples' / 'blood_cells'
    (weights,) = example.glob('*.safetensors')
    run('infer', example / 'config.py', weights, example / 'images', '-o', 'out', '--device', 'cpu')
    assert len(list((tmp_path / 'out' / 'drawn').iterdir())) == 3
