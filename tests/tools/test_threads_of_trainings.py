"""Trainings, also of several processes, have no more threads than cores, and fewer where few pay."""

import os

import pytest
from short_runs import write_config

from mmcednet.data.shapes import draw_dataset
from mmcednet_threads import NUMBERS, count_cores

pytestmark = pytest.mark.slow


@pytest.fixture
def train(run_tool, root, tmp_path, monkeypatch):
    """Trains a nano classifier for one iteration; returns the numbers of threads of each process."""
    data = draw_dataset(tmp_path / 'images', train=2, val=1, size=64, seed=0, single=True)
    (tmp_path / 'threads').mkdir()
    hook = dict(type='RecordThreads', folder=str(tmp_path / 'threads'))
    more = "custom_imports = dict(imports=['mmcednet', 'thread_records'])\n"
    more += f'custom_hooks = [{hook!r}]\n'
    monkeypatch.setenv('PYTHONPATH', f'{root / "tests"}{os.pathsep}{os.environ.get("PYTHONPATH", "")}')
    for name in NUMBERS:
        monkeypatch.delenv(name, raising=False)

    def call(tool, processes, *args):
        config = write_config(tmp_path / 'config.py', 'imagenet', data, images=processes, more=more)
        run_tool(tool, config, *args, fresh=True)
        files = [tmp_path / 'threads' / str(rank) for rank in range(processes)]
        return [list(map(int, file.read_text().split())) for file in files]

    return call


def test_one_process(train):
    assert train('train.py', 1) == [[count_cores(), 1]]


def test_two_processes(train):
    assert train('dist_train.sh', 2, 2) == 2 * [[max(1, count_cores() // 2), 1]]


def test_a_number_that_the_user_has_set(train, monkeypatch):
    monkeypatch.setenv('OMP_NUM_THREADS', '2')
    assert train('dist_train.sh', 2, 2) == 2 * [[2, 2]]
