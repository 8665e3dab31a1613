"""examples/: the published detectors load, find the objects of their pictures, and are documented."""

import json

import pytest
from mmengine.config import Config
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmcednet.checkpoints.safetensors_reader import load_from_safetensors
from mmcednet.inference.predict import load_predictor

EXAMPLES = {'blood_cells': 0.7, 'nuclei': 0.4}  # lowest AP50 on the three pictures


@pytest.fixture(params=EXAMPLES)
def example(request, root):
    return root / 'examples' / request.param


@pytest.fixture
def checkpoint(example):
    (path,) = example.glob('*.safetensors')
    return path


def test_every_example_is_tested(root):
    assert sorted(path.parent.name for path in root.glob('examples/*/config.py')) == sorted(EXAMPLES)


def test_size(root):
    files = [path for path in (root / 'examples').rglob('*') if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 10e6


def test_metrics_in_the_readme(example, root):
    metrics = json.loads((example / 'metrics.json').read_text())
    text = (root / 'examples' / 'README.md').read_text(encoding='utf-8')
    (row,) = [line for line in text.splitlines() if line.startswith(f'| [{example.name}]')]
    for kind in ('bbox', 'segm'):
        if f'coco/{kind}_mAP' in metrics:
            values = [metrics[f'coco/{kind}_{name}'] for name in ('mAP', 'mAP_50')]
            assert '| {:.3f} ({:.3f}) |'.format(*values) in row


def test_checkpoint_contains_the_config(example, checkpoint):
    meta = load_from_safetensors(str(checkpoint))['meta']
    inside = Config.fromstring(meta['cfg'], '.py')
    cfg = Config.fromfile(example / 'config.py')
    options = {key: inside.pop(key) for key in ('work_dir', 'launcher')}  # of the command line
    assert inside.to_dict() == cfg.to_dict(), options
    assert meta['dataset_meta']['classes'] == list(cfg.classes)


def test_objects_are_found(example, checkpoint):
    """Three pictures of the test split, with their annotations."""
    truth = COCO(str(example / 'annotations.json'))
    predictor = load_predictor(str(example / 'config.py'), str(checkpoint), 'cpu')
    results = []
    for image in truth.loadImgs(truth.getImgIds()):
        (sample,) = predictor.predict([str(example / 'images' / image['file_name'])])
        results += [dict(entry, image_id=image['id']) for entry in predictor.describe(sample)]
    kind = 'segm' if 'segmentation' in results[0] else 'bbox'
    evaluation = COCOeval(truth, truth.loadRes(results), kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[1] > EXAMPLES[example.name]
