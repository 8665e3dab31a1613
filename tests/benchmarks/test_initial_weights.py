"""benchmarks/initial_weights.py: real trainings, restart, table and figure."""

import importlib
import json
from dataclasses import asdict

import cv2
import pytest

from mmcednet.data.shapes import draw_dataset


@pytest.fixture
def benchmark(import_benchmarks):
    return importlib.import_module('initial_weights')


def test_table_compares_seeds(benchmark):
    scores = {
        ('nano', 2e-3): {5: {0: 15.0}},
        ('none', 1e-3): {5: {0: 10.0, 1: 20.0}, 10: {0: 30.0}},
        ('nano', 1e-3): {5: {0: 14.0, 1: 26.0}},
    }
    rows = benchmark.make_table(scores, 'retinanet').splitlines()
    assert rows[0] == '| weights | rate | epochs | seeds | box AP | gain over none |'
    assert rows[2:] == [
        '| none | 0.001 | 5 | 2 | 15.0 ± 5.0 |  |',
        '| none | 0.001 | 10 | 1 | 30.0 |  |',
        '| nano | 0.001 | 5 | 2 | 20.0 ± 6.0 | +5.0 ± 1.0 |',
        '| nano | 0.002 | 5 | 1 | 15.0 |  |',
    ]


def test_failed_command_is_named(benchmark, tmp_path):
    run = benchmark.Run('cells', 'retinanet', 'none', 1, 1e-3, 0)
    with pytest.raises(ValueError, match=r'tools/new_config\.py --data .* failed: error: .*cells'):
        benchmark.train(run, tmp_path / 'cells', 'none', tmp_path / 'out')


@pytest.mark.parametrize(
    ('option', 'values', 'name'),
    [
        ('weights', ['a/cells.pth', 'none', 'b/cells.pth'], 'cells'),
        ('epochs', ['5', '5'], '5'),
        ('lr', ['1e-3', '.001'], '0.001'),
    ],
)
def test_repeated_values(benchmark, option, values, name, tmp_path, capsys):
    with pytest.raises(SystemExit):
        benchmark.main(['--data', str(tmp_path), f'--{option}', *values])
    assert f'error: --{option} has {name} twice' in capsys.readouterr().err


def test_finished_runs_are_those_below_the_current_folder(benchmark, tmp_path, monkeypatch, capsys):
    """Not those of the repository, which are of data with the same name."""
    monkeypatch.chdir(tmp_path)
    command = ['--data', 'BCCD', '--weights', 'none', '--epochs', '5', '--seeds', '1']
    with pytest.raises(SystemExit):
        benchmark.main(command)
    assert '--data: the folder BCCD does not exist' in capsys.readouterr().err
    (tmp_path / 'BCCD').mkdir()
    results = benchmark.Results(tmp_path / 'work_dirs' / 'initial_weights' / 'results.json')
    results.path.parent.mkdir(parents=True)
    results.add(dict(asdict(benchmark.Run('BCCD', 'retinanet', 'none', 5, 1e-3, 0)), score=12.3))
    assert benchmark.main(command) == 0
    assert '| none | 0.001 | 5 | 1 | 12.3 |  |' in capsys.readouterr().out


@pytest.mark.slow
def test_trains_from_each_weights_once(benchmark, tmp_path, capsys):
    data = draw_dataset(tmp_path / 'shapes', train=8, val=4, size=96, seed=0)
    results, out = tmp_path / 'results.json', tmp_path / 'out'
    command = ['--data', str(data), '--epochs', '1', '--seeds', '1', '--jobs', '2']
    command += ['--results', str(results), '--out', str(out)]
    interrupted = out / 'shapes-retinanet-none-1-0.001-0'
    interrupted.mkdir(parents=True)
    (interrupted / 'epoch_1.pth').touch()
    benchmark.main(command)
    rows = json.loads(results.read_text())['runs']
    assert sorted((row['weights'], row['epochs'], row['seed']) for row in rows) == [
        ('nano', 1, 0),
        ('none', 1, 0),
    ]
    assert all(0 <= row['score'] <= 100 for row in rows)
    assert cv2.imread(str(out / 'shapes-retinanet.png')) is not None
    first = capsys.readouterr().out
    assert '[2/2]' in first
    benchmark.main(command)
    again = capsys.readouterr().out
    assert '/2]' not in again and again.strip() in first


def test_docs_are_up_to_date(benchmark, root):
    results = benchmark.Results(root / 'benchmarks' / 'initial_weights.json')
    text = (root / 'docs' / 'pretraining.md').read_text()
    for data, framework in {(row['data'], row['framework']) for row in results.rows}:
        scores = benchmark.group_scores(results, data, framework)
        assert benchmark.make_table(scores, framework) in text
