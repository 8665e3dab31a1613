"""Exported files in onnxruntime and OpenVINO, and examples/onnx_infer.py without this project."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

pytest.importorskip('onnxscript')  # of the extra onnx
import onnxruntime
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from pycocotools.mask import frPyObjects

from mmcednet.export.check import compare, predict_in_torch
from mmcednet.export.onnx_file import INPUT
from mmcednet.export.run import export
from mmcednet.version import __version__

pytestmark = pytest.mark.slow
NEEDED = ('numpy', 'cv2', 'onnxruntime')  # by examples/onnx_infer.py
KINDS = {'blood_cells': 'bbox', 'nuclei': 'segm'}


def for_each(*names):
    """Run a test for each model; the tests of a model are in one process, which exports it once."""
    params = (pytest.param(name, marks=pytest.mark.xdist_group(f'export-{name}')) for name in names)
    return pytest.mark.parametrize('name', params)


@pytest.fixture(scope='module')
def get_file(load_model, tmp_path_factory):
    """Export a model once; return the file."""
    folder = tmp_path_factory.mktemp('onnx')

    def get(name):
        path = folder / f'{name}.onnx'
        if not path.exists():
            export(load_model(name), path)
        return path

    return get


@pytest.fixture(scope='module')
def bare(tmp_path_factory):
    """The environment variables of a Python that has only ``NEEDED``: use it with -S."""
    folder = tmp_path_factory.mktemp('bare')
    for name in NEEDED:
        package = Path(find_spec(name).origin).parent
        for path in (package, *package.parent.glob(f'{package.name}.libs')):
            (folder / path.name).symlink_to(path)
    for path in Path(find_spec('cv2').origin).parents[1].glob('opencv_python*.libs'):
        (folder / path.name).symlink_to(path)
    return dict(os.environ, PYTHONPATH=str(folder))


def run_bare(bare, *args):
    command = [sys.executable, '-S', *map(str, args)]
    folder = Path(bare['PYTHONPATH']).parent  # not the repository, whose packages Python would find
    return subprocess.run(command, capture_output=True, text=True, env=bare, cwd=folder)


def get_pictures(root, name):
    return sorted(str(path) for path in (root / 'examples' / name / 'images').glob('*.[jp]*g'))


def compute_ap(root, name, results, kind):
    """AP of COCO's evaluation on the pictures of an example."""
    truth = COCO(str(root / 'examples' / name / 'annotations.json'))
    ids = {image['file_name']: image['id'] for image in truth.loadImgs(truth.getImgIds())}
    results = [dict(result, image_id=ids[result['file_name']]) for result in results]
    evaluation = COCOeval(truth, truth.loadRes(results), kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats[0]


def test_bare_environment_has_nothing_else(bare):
    for name in NEEDED:
        assert run_bare(bare, '-c', f'import {name}').returncode == 0, name
    for name in ('torch', 'mmcv', 'mmcednet', 'mmengine'):
        assert 'No module named' in run_bare(bare, '-c', f'import {name}').stderr


@for_each(*KINDS)
def test_same_ap_without_this_project(name, root, load_model, get_file, bare, tmp_path):
    pictures = get_pictures(root, name)
    script = root / 'examples' / 'onnx_infer.py'
    done = run_bare(bare, script, get_file(name), tmp_path, *pictures)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / 'predictions.json').read_text())
    for result in found:
        if 'segmentation' in result:
            result['segmentation'] = frPyObjects(
                result['segmentation'], *result['segmentation']['size']
            )
    predictor = load_model(name)
    expected = [
        dict(entry, file_name=Path(path).name)
        for path in pictures
        for entry in predictor.describe(predictor.predict([path])[0])
    ]
    for kind in {'bbox', KINDS[name]}:
        aps = [compute_ap(root, name, results, kind) for results in (found, expected)]
        assert aps[1] > 0.2
        assert aps[0] == pytest.approx(aps[1], abs=1e-3), kind


MODELS = ['blood_cells', 'nuclei', 'cascade_rcnn', 'deformable_detr', 'hourglass_upernet', 'imagenet']


@for_each(*MODELS)
def test_equals_torch_in_three_sizes(name, root, load_model, get_file):
    session = onnxruntime.InferenceSession(get_file(name))
    metadata = session.get_modelmeta().custom_metadata_map
    metadata = dict(metadata, pipeline=json.loads(metadata['pipeline']))
    images = [cv2.resize(cv2.imread(path), (200, 150)) for path in get_pictures(root, 'blood_cells')]
    difference = compare(get_file(name), load_model(name), metadata, images)
    assert difference.compared >= 9
    assert difference.is_small, difference


@for_each('blood_cells', 'nuclei', 'deformable_detr')
def test_batches_equal_single_images(name, root, get_file):
    session = onnxruntime.InferenceSession(get_file(name))
    images = [cv2.resize(cv2.imread(path), (150, 110)) for path in get_pictures(root, 'nuclei')]
    together = session.run(None, {INPUT: np.stack(images)})
    for index, image in enumerate(images):
        for ours, alone in zip(together, session.run(None, {INPUT: image[None]})):
            np.testing.assert_allclose(ours[index], alone[0], rtol=0, atol=1e-3)


@pytest.mark.xdist_group('export-blood_cells')
def test_metadata_and_axes(get_file):
    session = onnxruntime.InferenceSession(get_file('blood_cells'))
    assert session.get_inputs()[0].shape == ['batch', 'height', 'width', 3]
    shapes = {output.name: output.shape for output in session.get_outputs()}
    assert shapes == dict(boxes=['batch', 100, 4], scores=['batch', 100], labels=['batch', 100])
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata['classes']) == ['Platelets', 'RBC', 'WBC']
    assert json.loads(metadata['mean']) == pytest.approx([123.675, 116.28, 103.53])
    assert json.loads(metadata['pipeline']) == [dict(type='Resize', scale=[320, 240], keep_ratio=True)]
    rest = {key: metadata[key] for key in ('task', 'color', 'config', 'mmcednet_version')}
    assert rest == dict(task='detector', color='bgr', config='config.py', mmcednet_version=__version__)


def test_a_classifier_of_rgb_images_without_this_project(root, load_model, bare, tmp_path):
    path, picture = tmp_path / 'a.onnx', tmp_path / 'a.png'
    image = cv2.resize(cv2.imread(get_pictures(root, 'blood_cells')[0]), (96, 96))
    cv2.imwrite(str(picture), image)
    export(load_model('linear_head'), path, color='rgb')
    done = run_bare(bare, root / 'examples' / 'onnx_infer.py', path, tmp_path, picture)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads((tmp_path / 'predictions.json').read_text())
    expected = predict_in_torch(load_model('linear_head'), image).pred_score
    swapped = predict_in_torch(load_model('linear_head'), image[..., ::-1]).pred_score
    assert not torch.allclose(expected, swapped, atol=1e-3)
    np.testing.assert_allclose(list(found['scores'].values()), expected, atol=1e-4)


@for_each('blood_cells', 'nuclei', 'deformable_detr', 'hourglass_upernet')
def test_openvino_reads_the_same_file(name, root, load_model, get_file):
    openvino = pytest.importorskip('openvino')
    # in single precision: on some CPUs the default is bfloat16
    model = openvino.Core().compile_model(get_file(name), 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})
    expected = onnxruntime.InferenceSession(get_file(name))
    for path, size in zip(get_pictures(root, 'blood_cells'), ((320, 240), (130, 170))):
        images = cv2.resize(cv2.imread(path), size)[None]
        found = model(images)
        for index, output in enumerate(expected.run(None, {INPUT: images})):
            np.testing.assert_allclose(found[index], output, rtol=1e-3, atol=1e-2)


@pytest.mark.xdist_group('export-blood_cells')
def test_difference_is_found(root, load_model, get_file):
    """The file of another model, as the check of the export must find."""
    predictor = load_model('blood_cells')
    images = [cv2.imread(get_pictures(root, 'blood_cells')[0])]
    metadata = dict(task='detector', color='bgr', pipeline=[])
    assert compare(get_file('blood_cells'), predictor, metadata, images).is_small
    bias = predictor.inferencer.model.bbox_head.retina_reg.bias
    with torch.no_grad():
        bias.add_(0.05)
    try:
        difference = compare(get_file('blood_cells'), predictor, metadata, images)
    finally:
        with torch.no_grad():
            bias.sub_(0.05)
    assert difference.boxes > 0.1
    assert not difference.is_small


@pytest.mark.xdist_group('export-nuclei')
def test_different_masks_are_found(root, load_model, get_file):
    predictor = load_model('nuclei')
    images = [cv2.imread(get_pictures(root, 'nuclei')[0])]
    metadata = dict(task='detector', color='bgr', pipeline=[], mask_threshold='0.5')
    assert compare(get_file('nuclei'), predictor, metadata, images).is_small
    metadata['mask_threshold'] = '0.7'
    difference = compare(get_file('nuclei'), predictor, metadata, images)
    assert 0.01 < difference.masks < 0.5
    assert difference.boxes < 0.1
    assert not difference.is_small


@pytest.mark.xdist_group('export-blood_cells')
def test_nothing_to_compare(load_model, get_file):
    metadata = dict(task='detector', color='bgr', pipeline=[])
    with pytest.raises(ValueError, match='nothing was detected in the pictures of --check'):
        compare(get_file('blood_cells'), load_model('blood_cells'), metadata, [])
