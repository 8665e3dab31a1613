"""benchmarks/early_fusion.py: networks of equal cost, tuning, restart, table and figure."""

import importlib
import itertools
import json
import os
import re
import subprocess
import sys
import threading
from concurrent.futures import Future
from dataclasses import asdict, replace

import cv2
import numpy as np
import pytest
import torch

from mmcednet.data.shapes import draw_dataset
from mmcednet.models.arch import parse_arch


@pytest.fixture
def fusion(import_benchmarks):
    """The package next to the script, with its modules."""
    for name in ('specs', 'training', 'results', 'report', 'summary'):
        importlib.import_module(f'fusion.{name}')
    return importlib.import_module('fusion')


def make_row(run, score, **others):
    test = {'coco/bbox_mAP': score, **{f'coco/bbox_mAP_{size}': score / 2 for size in 'sml'}}
    curve = [[run.iters // 2, score - 10], [run.iters, score - 1]]
    return dict(asdict(run), params=1.0, macs=0.2, test=test, curve=curve, **others)


@pytest.fixture
def run(fusion):
    return fusion.training.Run('cells', 'retinanet', 'convnext_fpn', 1, 8, 1e-3, 0.05, (256, 192))


@pytest.mark.slow
@pytest.mark.parametrize('framework', ['retinanet', 'mask_rcnn', 'upernet'])
def test_networks_have_the_same_cost(fusion, framework, tmp_path):
    data = draw_dataset(tmp_path / 'cells', train=1, val=1, size=192, seed=0)
    scale = None if framework == 'upernet' else (256, 192)
    size = (192, 192) if framework == 'upernet' else (192, 256)
    costs = {}
    for model in fusion.specs.NETWORKS if framework == 'retinanet' else fusion.specs.MAIN:
        run = fusion.training.Run('cells', framework, model, 0, 8, 1e-3, 0.05, scale)
        work_dir = tmp_path / model
        cfg = fusion.training.build_config(run, data, work_dir)
        assert fusion.training.get_image_size(cfg) == size
        costs[model] = fusion.training.compute_complexity(work_dir / 'config.py', size)
    references = dict(nano=fusion.specs.REFERENCE, wide='cednet_wide_m3', tiny='cednet_tiny_m3')
    for model, cost in costs.items():
        if model != 'convnext_tiny':  # as published
            kind = 'wide' if '_wide_' in model else fusion.specs.NETWORKS[model].size
            assert cost == pytest.approx(costs[references[kind]], rel=0.03), model


def test_networks_of_the_size_of_cednet_t(fusion):
    archs = {
        model: parse_arch(fusion.specs.NETWORKS[f'cednet_tiny_{model}'].backbone['arch'])
        for model in ('m1', 'm2', 'm3')
    }
    assert archs['m3'] == parse_arch('tiny')  # which the weights of tools/distill.py --arch tiny fit
    for stages, arch in enumerate(archs.values(), 1):
        assert len(arch.stages) == stages
        depths = [sum(stage[level] for stage in arch.stages) for level in (3, 4, 5)]
        assert (arch.stem_blocks, depths) == (3, [6, 12, 6])


@pytest.mark.parametrize('device', ['cpu', 'cuda'])
def test_config_for_a_device(fusion, run, device, tmp_path):
    data = draw_dataset(tmp_path / 'cells', train=1, val=1, size=64, seed=0)
    large = replace(run, model='cednet_tiny_m3', device=device)
    cfg = fusion.training.build_config(large, data, tmp_path / 'run')
    assert cfg.model.backbone.pyramid.channels == cfg.model.bbox_head.in_channels == 256
    on_gpu = device == 'cuda'
    assert cfg.train_dataloader.batch_size == (16 if on_gpu else 4)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert (loader.num_workers > 0) == loader.persistent_workers == on_gpu
    assert (cfg.optim_wrapper.type == 'AmpOptimWrapper') == on_gpu


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--framework', 'mask_rcnn', '--models', 'cednet_tiny_m1'], 'is for --framework retinanet'),
        (['--weights', 'labels'], r'initial weights labels.convnext_fpn\.safetensors do not exist'),
        (['--data', 'gone/nuclei'], r'--data: the folder gone/nuclei does not exist'),
    ],
)
def test_refused_options(fusion, options, message, tmp_path, capsys):
    main = importlib.import_module('early_fusion').main
    args = ['--data', tmp_path, '--results', tmp_path / 'results.json', *options]
    with pytest.raises(SystemExit) as stopped:
        main([*map(str, args)])
    assert re.search(message, f'{capsys.readouterr().err} {stopped.value}')


def test_finished_runs_are_those_below_the_current_folder(fusion, tmp_path, monkeypatch):
    """Not those of the repository, which are of data with the same name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'BCCD').mkdir()
    results = fusion.results.Results(tmp_path / 'work_dirs' / 'early_fusion' / 'results.json')
    results.path.parent.mkdir(parents=True)
    mine = fusion.training.Run('BCCD', 'retinanet', 'cednet_m3', 1, 800, 1e-3, 0.2, (256, 192))
    results.add(make_row(mine, 12.3))
    command = ['--data', 'BCCD', '--models', 'cednet_m3', '--seeds', '1', '--scale', '256', '192']
    command += ['--recipe', '0.001', '0.2']
    assert importlib.import_module('early_fusion').main(command) == 0
    table = (results.path.parent / 'BCCD-retinanet-800.md').read_text()
    assert table.splitlines()[-1].split(' | ')[5:7] == ['1', '12.3']


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_gpu_is_missing(fusion):
    with pytest.raises(ValueError, match='--device cuda needs a GPU'):
        fusion.training.check_device('cuda')


@pytest.mark.slow
def test_runs_are_tuned_and_trained_once(fusion, tmp_path, capsys):
    data = draw_dataset(tmp_path / 'cells', train=6, val=3, size=64, seed=0, test=2)
    out = tmp_path / 'out'
    args = ['--data', data, '--models', 'cednet_m1', '--seeds', '1', '--iters', '8', '--jobs', '2']
    args += ['--results', tmp_path / 'results.json', '--out', out]
    main = importlib.import_module('early_fusion').main
    for expected in (5, 0):
        assert main([*map(str, args)]) == 0
        assert capsys.readouterr().out.count('cednet_m1, learning rate') == expected
    rows = json.loads((tmp_path / 'results.json').read_text())['runs']
    assert [row['iters'] for row in rows] == [4, 4, 4, 4, 8]
    # two at a time: in the order in which they end
    assert sorted(row['lr'] for row in rows[:3]) == list(fusion.results.LEARNING_RATES)
    assert all(np.isfinite(row['loss']).all() for row in rows)
    assert '| CEDNet, 1 stage |' in (out / 'cells-retinanet-8.md').read_text()
    assert cv2.imread(str(out / 'cells-retinanet-8.png')) is not None


def test_a_failed_run_stops_those_that_have_not_begun(fusion, run, tmp_path, monkeypatch):
    """Those that are training meanwhile are finished and kept."""
    results, begun, cancelled = fusion.results.Results(tmp_path / 'results.json'), [], []
    runs = [fusion.training.Run(**dict(asdict(run), seed=seed)) for seed in range(1, 7)]
    both, stopped = threading.Barrier(2), threading.Event()

    def train(each):
        begun.append(each.seed)
        if each.seed <= 2:
            both.wait()
        if each.seed == 1:
            raise ValueError('run 1 failed')
        stopped.wait()
        return make_row(each, 40.0)

    def cancel(future, cancel=Future.cancel):
        cancelled.append(cancel(future))
        if len(cancelled) == len(runs):
            stopped.set()

    monkeypatch.setattr(Future, 'cancel', cancel)
    with pytest.raises(ValueError, match='run 1 failed'):
        fusion.results.train_missing(results, runs, 2, train, str)
    assert sorted(row['seed'] for row in results.rows) == sorted({*begun} - {1})
    assert {1, 2} <= {*begun} <= {1, 2, 3}


def test_best_recipe_on_validation_images(fusion, run, tmp_path):
    results = fusion.results.Results(tmp_path / 'results.json')
    half = dict(asdict(run), iters=4, seed=0)
    scores = {(5e-4, 0.05): 20, (1e-3, 0.05): 30, (2e-3, 0.05): 25, (1e-3, 0.2): 31}
    for (lr, decay), score in scores.items():
        tried = fusion.training.Run(**dict(half, lr=lr, weight_decay=decay))
        results.add(make_row(tried, score))
    trainer = fusion.results.Trainer(results, tmp_path, tmp_path, 1)
    (tuned,) = trainer.tune([run])
    assert (tuned.lr, tuned.weight_decay) == (1e-3, 0.2)
    assert (tuned.iters, tuned.seed) == (8, 1)


@pytest.mark.slow
@pytest.mark.parametrize('framework', ['mask_rcnn', 'upernet'])
def test_given_recipe(fusion, framework, root, tmp_path):
    draw_dataset(tmp_path / 'cells', train=4, val=2, size=64, seed=0, test=2)
    command = [sys.executable, root / 'benchmarks' / 'early_fusion.py', '--data', tmp_path / 'cells']
    command += ['--framework', framework, '--models', 'cednet_m1', '--seeds', '1', '--iters', '4']
    command += ['--recipe', '3e-4', '0.1']
    command += ['--results', tmp_path / 'results.json', '--out', tmp_path / 'out']
    env = dict(os.environ, PYTHONPATH=str(root))
    subprocess.run(list(map(str, command)), env=env, check=True)
    (row,) = json.loads((tmp_path / 'results.json').read_text())['runs']
    assert (row['lr'], row['weight_decay'], row['seed']) == (3e-4, 0.1, 1)
    assert np.isfinite(row['loss']).all()
    assert '| CEDNet, 1 stage |' in (tmp_path / 'out' / f'cells-{framework}-4.md').read_text()
    assert cv2.imread(str(tmp_path / 'out' / f'cells-{framework}-4.png')) is not None


def test_logs_of_different_runs_are_in_different_folders(run):
    others = [dict(scale=None), dict(scale=(64, 64)), dict(device='cuda'), dict(seed=2)]
    assert len({run.name, *(replace(run, **other).name for other in others)}) == 5


def test_finished_runs_are_found_again(fusion, run, tmp_path):
    path = tmp_path / 'results.json'
    fusion.results.Results(path).add(make_row(run, 40.0))
    results = fusion.results.Results(path)
    assert results.find(run)['test']['coco/bbox_mAP'] == 40.0
    assert results.find(fusion.training.Run(**dict(asdict(run), seed=2))) is None
    assert results.find(fusion.training.Run(**dict(asdict(run), scale=None))) is None


@pytest.mark.parametrize('content', ['{', '[]', '{"rows": []}'])
def test_other_files_are_refused(fusion, content, tmp_path):
    path = tmp_path / 'results.json'
    path.write_text(content)
    with pytest.raises(ValueError, match=r'results\.json is not a file of results'):
        fusion.results.Results(path)


def test_table(fusion, run, tmp_path):
    results = fusion.results.Results(tmp_path / 'results.json')
    scores = {'convnext_fpn': [40.0, 44.0, 42.0], 'cednet_m3': [43.0, 45.0, 47.0]}
    for model, values in scores.items():
        for seed, score in enumerate(values, 1):
            changed = fusion.training.Run(**dict(asdict(run), model=model, seed=seed))
            results.add(make_row(changed, score))
    other_recipe = fusion.training.Run(**dict(asdict(run), model='cednet_m3', lr=2e-3))
    results.add(make_row(other_recipe, 41.5))
    for other in (dict(scale=(64, 64)), dict(device='cuda')):  # rows of other tables
        results.add(make_row(fusion.training.Run(**dict(asdict(run), **other)), 99.0))
    results.add(make_row(fusion.training.Run(**dict(asdict(run), seed=0)), 99.0))  # of the tuning
    fusion.report.write_report(results, run, tmp_path)
    rows = (tmp_path / 'cells-retinanet-8.md').read_text().splitlines()
    cells = [row.strip('| ').split(' | ') for row in rows[2:]]
    assert [row[0] for row in cells] == ['ConvNeXt + FPN', 'CEDNet, 3 stages', 'CEDNet, 3 stages']
    assert cells[0][5:7] == ['3', '42.0 ± 1.2']
    differences = np.subtract(scores['cednet_m3'], scores['convnext_fpn'])
    error = differences.std(ddof=1) / 3**0.5
    assert cells[1][6:8] == ['45.0 ± 1.2', f'+{differences.mean():.1f} ± {error:.1f}']
    assert cells[1][8] == '3 of 3'
    assert cells[2][3:9] == ['0.002', '0.05', '1', '41.5', '+1.5', '1 of 1']
    assert cv2.imread(str(tmp_path / 'cells-retinanet-8.png')) is not None


def test_weights_are_compared_with_the_reference_of_the_same(fusion, run, tmp_path):
    results = fusion.results.Results(tmp_path / 'results.json')
    scores = {('convnext_fpn', 'none'): 30.0, ('convnext_fpn', 'labels'): 40.0}
    scores |= {('cednet_m3', 'none'): 33.0, ('cednet_m3', 'labels'): 42.0}
    scores |= {('cednet_m3', 'selected'): 35.0}
    for (model, weights), score in scores.items():
        changed = fusion.training.Run(**dict(asdict(run), model=model, weights=weights))
        results.add(make_row(changed, score))
    alone = fusion.training.Run(**dict(asdict(run), model='unet'))
    results.add(make_row(alone, 31.0))
    groups = fusion.report.group_runs(results, run, pretrained=True)
    rows = fusion.report.make_table(groups, 'retinanet').splitlines()[2:]
    assert not any('UNet' in row for row in rows)
    cells = [[cell.strip() for cell in row.split('|')[1:-1]] for row in rows]
    assert [(row[1], row[8]) for row in cells if 'CEDNet' in row[0]] == [
        ('none', '+3.0'),
        ('labels', '+2.0'),
        ('selected', ''),
    ]
    assert 'CEDNet, 3 stages, selected' in fusion.report.get_labels(groups, 'retinanet')
    random = fusion.report.group_runs(results, run)
    assert [key[:2] for key in random] == [
        ('convnext_fpn', 'none'),
        ('cednet_m3', 'none'),
        ('unet', 'none'),
    ]
    assert '| CEDNet, 3 stages | 1.000 |' in fusion.report.make_table(random, 'retinanet')


def test_reference_has_the_recipe_that_is_the_best_on_the_validation_images(fusion, run, tmp_path):
    results = fusion.results.Results(tmp_path / 'results.json')
    for lr, score, test_score in ((5e-4, 28.0, 31.0), (1e-3, 30.0, 29.0), (2e-3, 29.0, 32.0)):
        row = make_row(replace(run, model='convnext_fpn', lr=lr), score)
        row['test']['coco/bbox_mAP'] = test_score
        results.add(row)
    results.add(make_row(replace(run, model='cednet_m3', lr=2e-3), 33.0))
    groups = fusion.report.group_runs(results, run)
    last = fusion.report.make_table(groups, 'retinanet').splitlines()[-1]
    assert last.split(' | ')[6:8] == ['33.0', '+4.0']


def test_summary(fusion, run, tmp_path, capsys):
    """Each network with its best recipe on the validation images, and the differences of the pairs."""
    path = tmp_path / 'results.json'
    results = fusion.results.Results(path)
    scores = {'convnext_fpn': (30.0, 32.0), 'cednet_m1': (31.0, 31.0), 'cednet_m3': (35.0, 36.0)}
    for model, values in scores.items():
        for seed, score in enumerate(values, 1):
            results.add(make_row(replace(run, model=model, seed=seed), score))
            worse = make_row(replace(run, model=model, seed=seed, lr=2e-3), score - 9)
            worse['test']['coco/bbox_mAP'] = 99.0
            results.add(worse)
    results.add(make_row(replace(run, model='cednet_m3', iters=16), 50.0))  # compared with nothing
    assert importlib.import_module('early_fusion_summary').main([str(path)]) == 0
    header, _, row = capsys.readouterr().out.splitlines()
    assert 'three stages - one stage' in header
    assert row == (
        '| cells | 8 | 256x192 | none | box AP | 31.0 ± 1.0 | 31.0 ± 0.0 | 35.5 ± 0.5 | +0.0 ± 1.0 '
        '(1 of 2) | +4.5 ± 0.5 (2 of 2) | +4.5 ± 0.5 (2 of 2) |'
    )


def test_segmenters_have_no_neck(fusion, run, tmp_path):
    results = fusion.results.Results(tmp_path / 'results.json')
    segmenter = replace(run, framework='upernet', scale=None)
    results.add(dict(make_row(segmenter, 0.0), test=dict(mIoU=50.0)))
    groups = fusion.report.group_runs(results, segmenter)
    assert '| ConvNeXt | 1.000 |' in fusion.report.make_table(groups, 'upernet')
    assert fusion.report.get_labels(groups, 'upernet') == ['ConvNeXt']


def test_many_networks_beside_another_reference(fusion, run, tmp_path):
    results = fusion.results.Results(tmp_path / 'results.json')
    for index, model in enumerate(fusion.specs.NETWORKS):
        for seed in (1, 2):
            changed = fusion.training.Run(**dict(asdict(run), model=model, seed=seed))
            results.add(make_row(changed, 20.0 + index + seed))
    fusion.report.write_report(results, run, tmp_path, reference='plain_conv')
    rows = (tmp_path / 'cells-retinanet-8.md').read_text().splitlines()[2:]
    cells = [row.strip('| ').split(' | ') for row in rows]
    models = list(fusion.specs.NETWORKS)
    assert cells[models.index('plain_conv')][7] == ''
    assert cells[models.index('cednet_conv')][7] == '-1.0 ± 0.0'
    picture = cv2.imread(str(tmp_path / 'cells-retinanet-8.png'))
    assert picture.shape[0] > 30 * len(models)  # a line for each


@pytest.mark.slow
def test_processes_can_use_a_gpu(fusion):
    """Those of a CPU are forked by one that has imported the toolbox, which initialises CUDA."""
    with fusion.results.start_process('cuda') as process:
        assert not process.submit(torch.cuda._is_in_bad_fork).result()
    with fusion.results.start_process('cpu') as process:
        assert process.submit(len, 'ab').result() == 2


def test_sizes_without_objects_are_left_out(fusion, run, tmp_path):
    results = fusion.results.Results(tmp_path / 'results.json')
    for seed in (1, 2):
        row = make_row(fusion.training.Run(**dict(asdict(run), seed=seed)), 30.0)
        row['test']['coco/bbox_mAP_l'] = -100.0  # COCO's -1, in percent
        results.add(row)
    fusion.report.write_report(results, run, tmp_path)
    (row,) = (tmp_path / 'cells-retinanet-8.md').read_text().splitlines()[2:]
    assert row.endswith('| 15.0 ± 0.0 | 15.0 ± 0.0 |  |')
    assert cv2.imread(str(tmp_path / 'cells-retinanet-8.png')) is not None


def test_docs_are_up_to_date(fusion, root):
    results = fusion.results.Results(root / 'benchmarks' / 'early_fusion.json')
    fields = fusion.training.Run.__dataclass_fields__
    finals = [row for row in results.rows if row['seed'] != fusion.results.TUNING_SEED]
    runs = [fusion.training.Run(**{key: row[key] for key in fields}) for row in finals]
    text = (root / 'docs' / 'evidence.md').read_text()
    for run, pretrained in itertools.product(runs, (False, True)):
        groups = fusion.report.group_runs(results, run, pretrained)
        assert not groups or fusion.report.make_table(groups, run.framework) in text
    assert fusion.summary.make_summary(results) in text


def test_starts_in_the_docs_are_those_of_the_runs(fusion, root):
    """Each start of docs/pretraining.md that has a name has the mean of its runs."""
    results = fusion.results.Results(root / 'benchmarks' / 'distillation.json')
    text = (root / 'docs' / 'pretraining.md').read_text()
    starts = {(row['data'], row['framework'], row['model'], row['weights']) for row in results.rows}
    assert len(starts) > 9
    for data, framework, model, weights in starts:
        rows = list(results.select(data=data, model=model, weights=weights))
        scores = fusion.report.get_scores(rows, fusion.training.METRICS[framework])
        mean = fusion.report.format_mean(list(scores.values()))
        named = text.split(f"'{weights}'")[1:]
        assert any(mean in part[:200] for part in named), (data, weights, mean)
