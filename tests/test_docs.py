"""README, CONTRIBUTING and docs/: their code runs, their links and version numbers are right."""

import ast
import re
from pathlib import Path

import pytest
from code_blocks import read_code_blocks
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope

from mmcednet.models import CEDNet

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted(ROOT.glob('*.md')), *sorted(ROOT.glob('docs/*.md')), *sorted(ROOT.glob('*/README.md'))]


def list_anchors(page: Path) -> set[str]:
    titles = re.findall(r'^#+ (.*)$', page.read_text(encoding='utf-8'), re.M)
    return {re.sub(r'[^\w -]', '', title.lower()).replace(' ', '-') for title in titles}


@pytest.mark.parametrize('page', PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_exist(page):
    for link in re.findall(r'\]\(([^)\s]+)\)', page.read_text(encoding='utf-8')):
        if not link.startswith('https://'):
            path, _, anchor = link.partition('#')
            target = page.parent / path if path else page
            assert target.exists(), link
            assert not anchor or anchor in list_anchors(target), link


@pytest.mark.parametrize('page', PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_scripts_exist(page):
    text = page.read_text(encoding='utf-8')
    for script in re.findall(r'(?<!/)\b((?:tools|benchmarks|examples)/[\w/]+\.(?:py|sh))\b', text):
        assert (ROOT / script).exists(), script


def test_readme_example_in_pytorch(capsys):
    block = read_code_blocks(ROOT / 'README.md', 'python')[0]
    exec(block, {})
    expected = block.splitlines()[-1].removeprefix('# ')
    assert ast.literal_eval(capsys.readouterr().out) == ast.literal_eval(expected)


def test_readme_example_config(tmp_path):
    path = tmp_path / 'retinanet.py'
    path.write_text(read_code_blocks(ROOT / 'README.md', 'python')[1])
    cfg = Config.fromfile(path)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    assert isinstance(model.backbone, CEDNet)
    assert model.backbone.out_strides == tuple(cfg.model.bbox_head.anchor_generator.strides)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    assert type(optimizer).__name__ == 'AdamW'
    assert {group['weight_decay'] for group in optimizer.param_groups} == {0.0, 0.05}


@pytest.fixture
def examples(tmp_path, monkeypatch):
    """A temporary folder that has examples/."""
    (tmp_path / 'examples').symlink_to(ROOT / 'examples')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_readme_example_of_a_trained_model(examples, capsys):
    exec(read_code_blocks(ROOT / 'README.md', 'python')[2], {})
    assert "'WBC'" in capsys.readouterr().out
    assert (examples / 'cells.png').is_file()


@pytest.mark.slow
def test_trained_models_in_python(examples, capsys):
    blocks = read_code_blocks(ROOT / 'docs' / 'python.md', 'python')
    variables: dict = {}
    for block in blocks:
        exec(block, variables)
    printed = capsys.readouterr().out
    (shown,) = [line for line in blocks[0].splitlines() if line.startswith('print(result)')]
    assert shown.partition('# ')[2] in printed
    assert len(variables['results']) == 3
    assert len(variables['white_cells']) == variables['result'].names.count('WBC')
    assert variables['evaluation'].stats[1] > 0.7


@pytest.mark.parametrize('lock', ['onedl', 'openmmlab'])
def test_tested_versions_are_those_of_the_locks(lock):
    text = (ROOT / 'requirements' / f'{lock}.lock').read_text()
    locked = dict(re.findall(r'^(?:onedl-)?([\w-]+)==([\d.]+)', text, re.M))
    lines = (ROOT / 'docs' / 'installation.md').read_text().splitlines()
    table = [line.strip('| ').split(' | ') for line in lines]
    (names,) = [cells[:-1] for cells in table if cells[0] == 'torch']  # the last column is Python's
    (versions,) = [cells[1:-1] for cells in table if cells[0].startswith(f'`{lock}`, ')]
    fork_names = {'mmdet': 'mmdetection'} if lock == 'onedl' else {}
    assert versions == [locked[fork_names.get(name, name)] for name in names]
