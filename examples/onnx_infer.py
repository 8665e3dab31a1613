#!/usr/bin/env python3
"""python onnx_infer.py model.onnx OUT IMAGE...: OUT/predictions.json; of segmenters OUT/*.png."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime


def resize(image, steps):
    """Resize and crop as the test pipeline of the config."""
    for step in steps:
        size, scale = np.array(image.shape[1::-1]), np.array(step.get('scale'))
        if step['type'] == 'CenterCrop':
            crop = np.minimum(step['crop_size'], size)
            left, top = np.round((size - crop) / 2).astype(int)
            image = image[top : top + crop[1], left : left + crop[0]]
            continue
        if step['type'] == 'ResizeEdge':
            scale = size * scale / size.min()
        elif step.get('keep_ratio'):
            scale = size * min(scale.max() / size.max(), scale.min() / size.min()) + 0.5
        image = cv2.resize(image, scale.astype(int).tolist())
    return image


def paste(mask, box, height, width, threshold):
    """Interpolate a mask (S, S) in its box and encode it as COCO's run lengths."""
    weights = []
    for length, start, end in ((height, box[1], box[3]), (width, box[0], box[2])):
        position = (np.arange(length) + 0.5 - start) / (end - start) * len(mask) - 0.5
        weights.append(np.maximum(1 - abs(position[:, None] - np.arange(len(mask))), 0))
    pixels = (weights[0] @ mask @ weights[1].T >= threshold).T.ravel()
    runs = np.diff([0, *np.flatnonzero(np.diff(pixels, prepend=False)), pixels.size])
    return dict(size=[height, width], counts=runs.tolist())


def main(model, out, *paths):
    session = onnxruntime.InferenceSession(model, providers=['CPUExecutionProvider'])
    metadata = session.get_modelmeta().custom_metadata_map
    classes, steps, ids = (json.loads(metadata[k]) for k in ('classes', 'pipeline', 'category_ids'))
    names = [output.name for output in session.get_outputs()]
    threshold, results = float(metadata.get('mask_threshold', 0)), []
    Path(out).mkdir(parents=True, exist_ok=True)
    for path in map(Path, paths):
        image = cv2.imread(str(path))
        height, width = image.shape[:2]
        small = resize(image, steps)
        given = small if metadata['color'] == 'bgr' else small[..., ::-1]
        found = dict(zip(names, (x[0] for x in session.run(None, {'images': given[None]}))))
        if 'logits' in found:
            logits = cv2.resize(found['logits'].transpose(1, 2, 0), (width, height))
            cv2.imwrite(f'{out}/{path.stem}.png', logits.argmax(2).astype(np.uint8))
        elif 'boxes' not in found:
            scores = dict(zip(classes, found['scores'].tolist()))
            results.append(dict(file_name=path.name, scores=scores))
        for index in np.flatnonzero(found['scores'] > 0) if 'boxes' in found else ():
            box = found['boxes'][index] * np.tile(np.divide(image.shape[1::-1], small.shape[1::-1]), 2)
            result = dict(file_name=path.name, score=found['scores'][index].item())
            label = found['labels'][index].item()
            result['category_id'] = ids[label] if ids else label + 1
            result['bbox'] = [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()]
            if 'masks' in found:
                result['segmentation'] = paste(found['masks'][index], box, height, width, threshold)
            results.append(result)
    Path(out, 'predictions.json').write_text(json.dumps(results))


if __name__ == '__main__':
    main(*sys.argv[1:])
