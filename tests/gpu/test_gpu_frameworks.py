"""Every framework of configs/ on a GPU: steps in float16, then predictions."""

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import MODELS, DefaultScope

from mmcednet.launch.prediction import accelerate_prediction
from mmcednet.models import use_kernels

FRAMEWORKS = ['retinanet', 'mask_rcnn', 'cascade_mask_rcnn', 'deformable_detr', 'dino', 'mask2former']
FRAMEWORKS += ['upernet', 'imagenet']


def build(root, framework, device):
    """The published config; on a CPU the smallest one."""
    folder = root / 'configs' / framework
    names = ('cednet_t', 'cednet_nano_shapes')
    paths = [folder / f'{name}.py' for name in (names if device.type == 'cuda' else names[::-1])]
    cfg = Config.fromfile(next(path for path in paths if path.exists()))
    cfg.model.setdefault('data_preprocessor', cfg.get('data_preprocessor'))
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    model.init_weights()
    return model.to(device), cfg.default_scope


def make_data(model, scope, size):
    """Two images with their annotations, of noise."""
    images = [torch.randint(0, 256, (3, size, size), dtype=torch.uint8) for _ in range(2)]
    if scope == 'mmpretrain':
        from mmpretrain.structures import DataSample

        return dict(inputs=torch.stack(images), data_samples=[DataSample().set_gt_label(1)] * 2)
    if scope == 'mmseg':
        from mmengine.structures import PixelData
        from mmseg.structures import SegDataSample

        shape = dict(img_shape=(size, size), ori_shape=(size, size), pad_shape=(size, size))
        classes = model.decode_head.num_classes
        labels = [PixelData(data=torch.randint(0, classes, (1, size, size))) for _ in range(2)]
        samples = [SegDataSample(gt_sem_seg=label, metainfo=shape) for label in labels]
        return dict(inputs=images, data_samples=samples)
    from mmdet.testing import demo_mm_inputs

    data = demo_mm_inputs(2, [[3, size, size]] * 2, num_items=[4, 4], num_classes=4, with_mask=True)
    for sample in data['data_samples']:
        sample.set_metainfo(dict(scale_factor=(1.0, 1.0)))
    return data


# A head of one stage, of two, and one that takes raw levels
PLAIN = ['retinanet', 'mask_rcnn', 'upernet']


@pytest.mark.parametrize(
    ('framework', 'operators'),
    [*((name, True) for name in FRAMEWORKS), *((name, False) for name in PLAIN)],
)
def test_steps_and_predictions(device, root, framework, operators):
    """With the operators in Triton, if they are turned on, and without, the default."""
    if framework in ('dino', 'mask2former') and device.type == 'cpu':
        pytest.skip('there is no small config')
    model, scope = build(root, framework, device)
    use_kernels(model, operators)
    data = make_data(model, scope, 512 if device.type == 'cuda' else 96)
    # of --amp, in float16: mmcv's losses and RoIAlign for GPUs have no bfloat16
    kind = AmpOptimWrapper if device.type == 'cuda' else OptimWrapper
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
    wrapper = kind(optimizer=optimizer, clip_grad=dict(max_norm=10.0))
    model.train()
    for _ in range(3):
        assert model.train_step(data, wrapper)['loss'].isfinite()
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    model.eval()
    accelerate_prediction(model, amp=True, cuda_graph=device.type == 'cuda')
    for _ in range(3):  # called, recorded, and replayed
        with torch.no_grad():
            samples = model.test_step(data)
        assert len(samples) == 2
