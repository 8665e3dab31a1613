"""The wheel contains what users run, and not what needs or writes other files of the repository."""

import subprocess
import sys

from mmcednet.checkpoints.shipped import SHIPPED


def test_tools_of_the_wheel(root, tmp_path):
    command = [sys.executable, 'setup.py', '-q', 'egg_info', '--egg-base', tmp_path]
    subprocess.run([*command, 'build', '--build-base', tmp_path], cwd=root, check=True)
    assert (tmp_path / 'lib' / 'mmcednet_threads.py').is_file()
    package = tmp_path / 'lib' / 'mmcednet'
    tools = package / '.mim' / 'tools'
    assert {path.relative_to(tools).as_posix() for path in tools.rglob('*') if path.is_file()} == {
        *('train.py', 'test.py', 'infer.py', 'export.py', 'web_demo.py', 'new_config.py'),
        *('use_cednet.py', 'draw_shapes.py', 'dist_train.sh', 'dist_test.sh', 'slurm_train.sh'),
        'analysis/fusion_time.py',
        *('dataset_converters/split_coco.py', 'dataset_converters/voc_to_coco.py'),
        'dataset_converters/tiny_imagenet.py',
        *('dataset_converters/yolo_to_coco.py', 'dataset_converters/labelme_to_coco.py'),
        *('model_converters/official_cednet.py', 'model_converters/peers.py'),
        'model_converters/publish.py',
    }
    assert (package / '.mim' / 'configs' / 'retinanet' / 'cednet_t.py').is_file()
    assert (package / 'models' / 'kernels' / 'triton' / 'tiles.json').is_file()
    weights = package / 'checkpoints' / 'weights'
    assert {path.name for path in weights.iterdir()} == {'README.md', *SHIPPED.values()}
    assert not list(package.rglob('*paper*'))
