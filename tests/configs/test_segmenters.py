"""UPerNet on images of odd sizes, in sliding windows and at several scales."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import DATASETS, MODELS, DefaultScope
from mmengine.structures import PixelData
from mmseg.apis import inference_model, init_model
from mmseg.structures import SegDataSample
from small_segmenter import build_runner, load_small

from mmcednet.launch.config import enable_tta


@pytest.mark.parametrize('size', [(75, 101), (33, 130), (32, 32)])
def test_odd_sizes(root, ade20k, size):
    """In training, and in tests of the whole image and of sliding windows."""
    cfg = load_small(root, ade20k, **{'model.data_preprocessor.size': None})
    cfg.model.data_preprocessor.size_divisor = 1
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(cfg.model)

    def batch():
        samples = [
            SegDataSample(
                gt_sem_seg=PixelData(data=torch.randint(0, 150, (1, *size))),
                metainfo=dict(ori_shape=size, img_shape=size),
            )
            for _ in range(2)
        ]
        return dict(inputs=[torch.randint(0, 256, (3, *size)) for _ in samples], data_samples=samples)

    losses = model(**model.data_preprocessor(batch(), True), mode='loss')
    sum(value for key, value in losses.items() if 'loss' in key).backward()
    assert all(param.grad is not None and param.grad.isfinite().all() for param in model.parameters())
    model.eval()
    for mode in ('whole', 'slide'):
        model.test_cfg.mode = mode
        for sample in model.test_step(batch()):
            assert sample.pred_sem_seg.data.shape == (1, *size)


def test_inference_on_an_array(root, ade20k):
    model = init_model(load_small(root, ade20k), device='cpu')
    image = np.random.RandomState(0).randint(0, 256, (70, 90, 3)).astype(np.uint8)
    assert inference_model(model, image).pred_sem_seg.data.shape == (1, 70, 90)


def test_multi_scale_prediction_is_the_mean_over_scales_and_flips(root, ade20k, tmp_path):
    """Each probability map is recomputed window by window with plain torch."""
    cfg = load_small(root, ade20k)
    for resize, ratio in zip(cfg.tta_pipeline[1].transforms[0], (0.5, 0.75, 1, 1.25, 1.5, 1.75)):
        assert resize.scale == (int(2048 * ratio), int(512 * ratio))
        resize.scale = tuple(value // 8 for value in resize.scale)
    enable_tta(cfg)
    tta = build_runner(cfg, tmp_path / 'work').model.eval()
    model = tta.module
    with DefaultScope.overwrite_default_scope('mmseg'):
        item = DATASETS.build(cfg.test_dataloader.dataset)[0]
    batch = {key: [[part] for part in item[key]] for key in ('inputs', 'data_samples')}
    assert len(item['inputs']) == 12
    with torch.no_grad():
        (found,) = tta.test_step(copy.deepcopy(batch))

    total = torch.zeros(150, 64, 64)
    mean, std = model.data_preprocessor.mean, model.data_preprocessor.std
    for index, image in enumerate(item['inputs']):
        side = int(64 * (0.5, 0.75, 1, 1.25, 1.5, 1.75)[index // 2])
        assert image.shape == (3, side, side)
        x = (image[[2, 1, 0]].float() - mean) / std
        logits, count = torch.zeros(150, side, side), torch.zeros(side, side)
        starts = [0] if side <= 64 else sorted({min(start, side - 64) for start in range(0, side, 42)})
        for top in starts:
            for left in starts:
                window = x[None, :, top : top + 64, left : left + 64]
                with torch.no_grad():
                    out = model.decode_head(model.backbone(window))
                out = F.interpolate(out, size=window.shape[-2:], mode='bilinear')
                logits[:, top : top + 64, left : left + 64] += out[0]
                count[top : top + 64, left : left + 64] += 1
        logits = logits / count
        if index % 2:
            logits = logits.flip(-1)
        total += F.interpolate(logits[None], size=(64, 64), mode='bilinear')[0].softmax(0)
    best = total.topk(2, dim=0).values
    clear = best[0] - best[1] > 1e-4
    assert clear.float().mean() > 0.5
    assert torch.equal(found.pred_sem_seg.data.squeeze()[clear], total.argmax(0)[clear])
