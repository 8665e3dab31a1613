"""The output folder: pictures, videos, label maps, and a JSON that pycocotools reads."""

import json

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from mmcednet.inference.inputs import find_sources
from mmcednet.inference.outputs import check_out, write_predictions


@pytest.fixture
def write(load_small, tmp_path):
    """Write the predictions of a framework's model on some inputs; return the folder and the JSON."""

    def run(framework, *inputs, score=0.0, batch=2):
        out = tmp_path / 'results' / 'out'
        sources = find_sources([*map(str, inputs)])
        problems = write_predictions(load_small(framework), sources, out, score, batch)
        assert list(out.parent.iterdir()) == [out]
        return out, json.loads((out / 'predictions.json').read_text()), problems

    return run


def list_files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file())


def test_detections_are_coco_results(write, shapes):
    out, entries, problems = write('mask_rcnn', shapes / 'val')
    assert problems == ''
    drawn = [f'drawn/{index:05d}.jpg' for index in range(3)]
    assert list_files(out) == [*drawn, 'predictions.json']
    truth = json.loads((shapes / 'annotations' / 'val.json').read_text())
    ids = {entry['file_name']: entry['image_id'] for entry in entries}
    assert ids == {'00000.png': 1, '00001.png': 2, '00002.png': 3}
    truth['images'] = [dict(image, id=ids[image['file_name']]) for image in truth['images']]
    coco = COCO()
    coco.dataset = truth
    coco.createIndex()
    results = coco.loadRes(str(out / 'predictions.json'))
    assert len(results.anns) == len(entries) > 0
    for annotation in results.anns.values():
        assert results.annToMask(annotation).shape == (64, 64)
        assert annotation['area'] == annotation['bbox'][2] * annotation['bbox'][3]
        assert coco.cats[annotation['category_id']]['name'] == annotation['category']


def test_low_scores_are_left_out(write, load_small, shapes, tmp_path):
    path = shapes / 'val' / '00000.png'
    (sample,) = load_small('mask_rcnn').predict([str(path)])
    scores = sample.pred_instances.scores
    threshold = scores.median().item()
    _, entries, _ = write('mask_rcnn', path, score=threshold)
    assert [entry['score'] for entry in entries] == scores[scores >= threshold].tolist()


def test_images_with_as_many_detections_as_the_limit(write, load_small, shapes, monkeypatch, capsys):
    predictor = load_small('mask_rcnn')
    counts = {}
    for path in sorted((shapes / 'val').iterdir()):
        (sample,) = predictor.predict([str(path)])
        counts[path.name] = len(sample.pred_instances)
    most = max(counts.values())
    full = [name for name, number in counts.items() if number == most]
    monkeypatch.setattr(predictor, 'limit', ('model.test_cfg.rcnn.max_per_img', most))
    write('mask_rcnn', shapes / 'val')
    assert (
        f'warning: {len(full)} of 3 images have {most} detections, as many as '
        'model.test_cfg.rcnn.max_per_img allows, so that others may be missing; the first is '
        f'{full[0]}\n'
    ) == capsys.readouterr().err


def test_no_image_has_as_many_detections_as_the_limit(write, shapes, capsys):
    write('mask_rcnn', shapes / 'val', score=0.99)
    assert capsys.readouterr().err == ''


def test_label_maps_of_two_folders(write, load_small, shapes, ade20k):
    first, second = shapes / 'val' / '00001.png', shapes / 'train' / '00001.png'
    out, entries, _ = write('upernet', first, second)
    names = ['train/00001', 'val/00001']
    files = [f'{kind}/{name}.{suffix}' for kind, suffix in KINDS for name in names]
    assert list_files(out) == [*files, 'predictions.json']
    assert [entry['label_map'] for entry in entries] == [
        f'label_maps/{name}.png' for name in names[::-1]
    ]
    for path, entry in zip((first, second), entries):
        (sample,) = load_small('upernet').predict([str(path)])
        written = cv2.imread(str(out / entry['label_map']), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(written, load_small('upernet').get_label_map(sample))
        assert sum(entry['classes'].values()) == pytest.approx(1)


KINDS = (('drawn', 'jpg'), ('label_maps', 'png'))


def read_video(path):
    reader = cv2.VideoCapture(str(path))
    frames = []
    while (item := reader.read())[0]:
        frames.append(item[1])
    return frames, reader.get(cv2.CAP_PROP_FPS)


def test_videos_and_images(write, video, shapes):
    out, entries, problems = write('imagenet', video, shapes / 'val' / '00000.png', batch=5)
    assert problems == ''
    assert list_files(out) == ['drawn/00000.jpg', 'drawn/clip.mp4', 'predictions.json']
    assert [entry['image_id'] for entry in entries] == list(range(1, 14))
    assert [entry.get('frame') for entry in entries] == [*range(12), None]
    assert all(len(entry['predictions']) == 4 for entry in entries)
    frames, fps = read_video(out / 'drawn' / 'clip.mp4')
    assert (len(frames), fps) == (12, 5)
    means = [frame[:, :64].mean() for frame in frames]  # without the legend
    np.testing.assert_allclose(means, [30 + 15 * index for index in range(12)], atol=6)


def test_video_that_ends_early(write, video):
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    out, entries, problems = write('upernet', video)
    assert problems == f'clip.avi ends early: {len(entries)} of 12 frames could be read'
    assert len(read_video(out / 'drawn' / 'clip.mp4')[0]) == len(entries)
    assert len(list((out / 'label_maps' / 'clip').iterdir())) == len(entries)


def test_no_readable_file(load_small, tmp_path):
    (tmp_path / 'a.png').write_text('no image')
    sources = find_sources([str(tmp_path / 'a.png')])
    with pytest.raises(ValueError, match=r'^1 of 1 files could not be read: a\.png$'):
        write_predictions(load_small('upernet'), sources, tmp_path / 'out', 0.3, 1)
    assert list_files(tmp_path) == ['a.png']


def test_output_folder(tmp_path):
    (tmp_path / 'old').mkdir()
    (tmp_path / 'old' / 'a.png').write_text('old')
    check_out(tmp_path / 'new', [str(tmp_path / 'old')])
    with pytest.raises(ValueError, match=r'old exists already; choose a name that is not used yet$'):
        check_out(tmp_path / 'old', ['a.png'])
    with pytest.raises(ValueError, match=r'new lies in the input folder .*old; choose one outside'):
        check_out(tmp_path / 'old' / 'new', [str(tmp_path / 'old')])


def test_large_pictures_are_not_drawn(load_small, tmp_path, capfd):
    cv2.imwrite(str(tmp_path / 'wide.png'), np.zeros((350, 65_600), np.uint8))
    sources = find_sources([str(tmp_path / 'wide.png')])
    assert write_predictions(load_small('retinanet'), sources, tmp_path / 'out', 0.0, 1) == ''
    assert capfd.readouterr().err.endswith('warning: wide.png is not drawn: it has 65600x350 px\n')
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['predictions.json']
    json.loads((tmp_path / 'out' / 'predictions.json').read_text())
