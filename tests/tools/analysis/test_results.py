"""The generated results page and the files for mim, with and without logs of trainings."""

import json
from pathlib import Path

import pytest
import yaml
from paper.results import read_metrics, render_files
from paper.tables import CONFIGS, Row, get_method_name, load_paper_rows

from mmcednet.analysis.fusion_time import FusionTime

# Invented
TIMES = {config: FusionTime(before=1, total=4, fuses=True, blocks=None) for config in CONFIGS.values()}


def make_rows():
    """All rows of the paper, with an invented complexity."""
    for row in load_paper_rows():
        yield Row(
            table=row['table'],
            framework=row['framework'],
            method=get_method_name(row),
            paper_params=row.get('params_m'),
            paper_macs=row.get('flops_g'),
            paper_ap=row.get('ap', row.get('miou_ss')),
            config=CONFIGS[row['table'], get_method_name(row)],
            params=12.3456,
            macs=234.56,
        )


def write_log(work_dirs: Path, name: str, entries: list[dict], run: str = '20260101_000000') -> None:
    log = work_dirs / name / run / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('\n'.join(map(json.dumps, entries)))


def find_row(page: str, table: str, method: str) -> list[str]:
    section = page.split(f'## Table {table}: ')[1].split('\n## ')[0]
    (line,) = [
        line for line in section.splitlines() if line.startswith((f'| [{method}]', f'| {method},'))
    ]
    return [cell.strip() for cell in line.strip('|').split('|')]


def test_rows_without_training(root, tmp_path):
    page = render_files(make_rows(), TIMES, root / 'configs', tmp_path)['docs/results.md']
    link = '[CEDNet-NeXt-T](../configs/mask_rcnn/cednet_t.py)'
    assert find_row(page, '2c', 'CEDNet-NeXt-T') == [
        *(link, '12.35', '49', '234.6', '274', '25.0%'),
        *('49.2', '', '44.1', ''),
    ]
    assert page.count('\n| ') == len(list(make_rows())) + page.count('| --- |\n') * 2  # header and rule
    assert 'the correct value is 255G' in page
    for row in make_rows():
        assert (root / 'configs' / row.config).is_file()


def test_finished_trainings_fill_the_column_ours(root, tmp_path):
    write_log(
        tmp_path,
        'mask_rcnn/cednet_t',
        [
            {'loss': 1.0, 'step': 36, 'iter': 36, 'epoch': 1},
            {'coco/bbox_mAP': 0.3, 'coco/segm_mAP': 0.2, 'step': 35},
            {'coco/bbox_mAP': 0.4917, 'coco/segm_mAP': 0.4408, 'step': 36},
        ],
    )
    write_log(tmp_path, 'retinanet/cednet_t', [{'coco/bbox_mAP': 0.48, 'step': 12}])  # not finished
    written = render_files(make_rows(), TIMES, root / 'configs', tmp_path)
    page = written['docs/results.md']
    assert find_row(page, '2c', 'CEDNet-NeXt-T')[6:] == ['49.2', '49.2', '44.1', '44.1']
    assert find_row(page, '2b', 'CEDNet-NeXt-T')[6:] == ['48.3', '']
    models = yaml.safe_load(written['configs/mask_rcnn/metafile.yml'])['Models']
    results = {model['Name']: model.get('Results') for model in models}
    assert results.pop('mask_rcnn_cednet_t') == [
        dict(Task='Object Detection', Dataset='COCO', Metrics={'box AP': 49.2}),
        dict(Task='Instance Segmentation', Dataset='COCO', Metrics={'mask AP': 44.1}),
    ]
    assert not any(results.values())


def test_segmenter_has_single_and_multi_scale_results(root, tmp_path):
    write_log(
        tmp_path, 'upernet/cednet_t', [{'mIoU': 40.0, 'step': 144000}, {'mIoU': 48.31, 'step': 160000}]
    )
    for run, tta, checkpoint, found in (
        ('tested', False, 'iter_160000.pth', 48.31),
        ('early', True, 'iter_144000.pth', 47.0),
        ('several', True, 'work/iter_160000.pth', 48.93),
    ):
        folder = tmp_path / 'upernet' / 'cednet_t' / run
        (folder / 'vis_data').mkdir(parents=True)
        (folder / f'{run}.json').write_text(json.dumps(dict(mIoU=found, aAcc=80.0)))
        model = dict(type='SegTTAModel' if tta else 'EncoderDecoder')
        (folder / 'vis_data' / 'config.py').write_text(f'model = {model}\nload_from = {checkpoint!r}\n')
    written = render_files(make_rows(), TIMES, root / 'configs', tmp_path)
    found = find_row(written['docs/results.md'], '3', 'CEDNet-NeXt-T')
    assert found[6:] == ['48.3', '48.3', '48.9', '48.9']
    models = yaml.safe_load(written['configs/upernet/metafile.yml'])['Models']
    (results,) = [model['Results'] for model in models if 'Results' in model]
    metrics = {'mIoU': 48.3, 'mIoU, multi-scale': 48.9}
    assert results == [dict(Task='Semantic Segmentation', Dataset='ADE20K', Metrics=metrics)]


def test_resumed_training_counts_once_it_has_finished(root, tmp_path):
    write_log(tmp_path, 'retinanet/cednet_t', [{'coco/bbox_mAP': 0.3, 'step': 12}], 'first')
    write_log(tmp_path, 'retinanet/cednet_t', [{'coco/bbox_mAP': 0.484, 'step': 36}], 'second')
    page = render_files(make_rows(), TIMES, root / 'configs', tmp_path)['docs/results.md']
    assert find_row(page, '1', 'CEDNet-NeXt-T (FPN-style)')[6:] == ['48.3', '48.4']


def test_metafiles_list_every_config_once(root, tmp_path):
    written = render_files(make_rows(), TIMES, root / 'configs', tmp_path)
    index = yaml.safe_load(written['model-index.yml'])['Import']
    configs = []
    for path in index:
        content = yaml.safe_load(written[path])
        (collection,) = content['Collections']
        assert collection['Paper']['URL'].startswith('https://arxiv.org/abs/')
        for model in content['Models']:
            assert model['In Collection'] == collection['Name']
            assert Path(model['Config']).parts[1] == Path(path).parts[1]
            configs.append(model['Config'])
    assert sorted(configs) == sorted({f'configs/{row.config}' for row in make_rows()})


@pytest.mark.slow
@pytest.mark.xdist_group('paper')
def test_generated_files_are_up_to_date(all_rows, all_times, root, tmp_path):
    for path, text in render_files(all_rows, all_times, root / 'configs', tmp_path).items():
        assert (root / path).read_text(encoding='utf-8') == text, (
            f'{path}: run tools/analysis/results.py'
        )


def test_mim_finds_configs_and_tools_in_the_package(root):
    package = root / 'mmcednet' / '.mim'
    assert (package / 'configs' / 'retinanet' / 'cednet_t.py').is_file()
    assert (package / 'tools' / 'train.py').is_file()
    assert yaml.safe_load((package / 'model-index.yml').read_text())['Import']


def test_a_log_that_a_kill_cut_off(root, tmp_path):
    entries = [{'coco/bbox_mAP': 0.4917, 'step': 36}, {'loss': 1.0, 'step': 37}]
    write_log(tmp_path, 'mask_rcnn/cednet_t', entries)
    (log,) = tmp_path.rglob('scalars.json')
    log.write_text(log.read_text()[:-5])
    config = root / 'configs' / 'mask_rcnn' / 'cednet_t.py'
    assert read_metrics(tmp_path, config, 'mask_rcnn/cednet_t.py') == {'ap': pytest.approx(49.17)}
