"""The commands of docs/own_data.md run as they stand, on twenty images and for one epoch."""

import os
import subprocess
import sys
from pathlib import Path

import mmdet
import pytest
from code_blocks import read_code_blocks

DATASET = 'https://github.com/Shenggan/BCCD_Dataset'
ONE_EPOCH = ' --cfg-options train_cfg.max_epochs=1 train_cfg.val_interval=1 param_scheduler.1.end=1'
# A model that has learned nothing then has detections, which the tools after it need
ANY_SCORE = "echo 'model.update(test_cfg=dict(score_thr=0.0))' >> my/bccd.py"

# As many labelling tools write their files
NO_SUPERCATEGORY = """sed -i 's/, "supercategory": "none"//' data/BCCD_Dataset/BCCD/coco/*.json"""


@pytest.fixture
def repository(bccd, tmp_path):
    """A git repository of the layout of BCCD_Dataset, with its images that are in the assets."""
    folder = tmp_path / 'repository'
    folder.mkdir()
    bccd.rename(folder / 'BCCD')
    git = ['git', '-C', str(folder), '-c', 'user.name=test', '-c', 'user.email=test@example.com']
    subprocess.run(['git', 'init', '-q', str(folder)], check=True)
    subprocess.run([*git, 'add', '.'], check=True)
    subprocess.run([*git, 'commit', '-q', '-m', 'images'], check=True)
    return folder


@pytest.mark.slow
def test_commands(root, tmp_path, repository):
    project = tmp_path / 'project'
    project.mkdir()
    for name in ('tools', 'configs'):
        (project / name).symlink_to(root / name)
    env = dict(
        os.environ,
        PATH=f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}',
        GIT_CONFIG_COUNT='1',  # the public repository is replaced by the local one
        GIT_CONFIG_KEY_0=f'url.file://{repository}.insteadOf',
        GIT_CONFIG_VALUE_0=DATASET,
    )
    lines = ['set -e']
    for line in '\n'.join(read_code_blocks(root / 'docs' / 'own_data.md', 'sh')).splitlines():
        if mmdet.__version__.startswith('3.3.'):  # as the page says
            line = line.replace(' --style ggplot', '')
        if line.startswith('python tools/new_config.py'):
            lines += [NO_SUPERCATEGORY, line]
        elif line.startswith('python tools/train.py'):
            lines += [ANY_SCORE, line + ONE_EPOCH]
        else:
            lines.append(line)
    result = subprocess.run(
        ['bash', '-c', '\n'.join(lines)], cwd=project, env=env, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert len(list((project / 'my' / 'browse').glob('*.jpg'))) == 12
    assert len(list((project / 'my' / 'test').glob('*/drawn/JPEGImages/*.jpg'))) == 4
    assert len(list((project / 'my' / 'predictions' / 'drawn').rglob('*.jpg'))) == 20
    for name in ('report/training_images.png', 'evaluation/worst_images.png'):
        assert (project / 'my' / 'work' / name).is_file()
    names = ('loss.png', 'confusion/confusion_matrix.png', 'errors/bbox/bbox-allclass-allarea.png')
    for name in names:
        assert (project / 'my' / name).stat().st_size > 1000
