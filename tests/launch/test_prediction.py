"""Low precision and CUDA graphs in the toolboxes' models."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmcednet.launch import prediction
from mmcednet.launch.prediction import accelerate_prediction, choose_dtype, read_processor_flags

HEADS = {
    'retinanet': 'bbox_head',
    'mask_rcnn': 'rpn_head',
    'deformable_detr': None,
    'upernet': 'decode_head',
}


@pytest.fixture(autouse=True)
def processor(monkeypatch):
    """One with instructions for bfloat16; others compute the same, more slowly."""
    monkeypatch.setattr(prediction, 'read_processor_flags', lambda: {'avx512_bf16'})


def build(root, framework):
    cfg = Config.fromfile(root / 'configs' / framework / 'cednet_nano_shapes.py')
    cfg.model.setdefault('data_preprocessor', cfg.get('data_preprocessor'))
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    model.init_weights()
    return model.eval()


def record_dtypes(module):
    """The types in which a module's convolutions compute."""
    found = set()
    for layer in module.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(lambda layer, args, out: found.add(out.dtype))
    return found


@pytest.mark.parametrize('framework', HEADS)
@torch.no_grad()
def test_predictions_in_low_precision(framework, root):
    """Features are computed in bfloat16, and what follows in float32."""
    model, images = build(root, framework), torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8)
    data = dict(inputs=[images])
    if framework != 'upernet':
        from mmdet.structures import DetDataSample

        shape = dict(img_shape=(64, 96), ori_shape=(64, 96), scale_factor=(1.0, 1.0))
        data['data_samples'] = [DetDataSample(metainfo=shape)]
    batch = model.data_preprocessor(data)['inputs']
    expected = model.extract_feat(batch)
    accelerate_prediction(model, amp=True)
    dtypes = record_dtypes(model.backbone)
    for ours, theirs in zip(model.extract_feat(batch), expected, strict=True):
        assert ours.dtype == torch.float32
        assert 0 < (ours - theirs).norm() < 0.03 * theirs.norm()
    assert dtypes == {torch.bfloat16}
    head = HEADS[framework]
    dtypes = record_dtypes(getattr(model, head)) if head else {torch.bfloat16}
    (sample,) = model.test_step(data)
    assert dtypes == {torch.bfloat16}
    found = sample.seg_logits.data if framework == 'upernet' else sample.pred_instances.bboxes
    assert found.dtype == torch.float32 and found.isfinite().all()


def test_nothing_changes_without_options(root):
    model = build(root, 'retinanet')
    accelerate_prediction(model)
    assert 'forward' not in vars(model.backbone)


def test_graphs_need_a_gpu(root):
    with pytest.raises(ValueError, match=r'\(--cuda-graph\) need a GPU, but the model is on the cpu'):
        accelerate_prediction(build(root, 'retinanet'), cuda_graph=True)


def test_processors(tmp_path, monkeypatch):
    assert choose_dtype(torch.device('cpu')) == torch.bfloat16
    cpuinfo = tmp_path / 'cpuinfo'
    cpuinfo.write_text('model name : A\nflags\t\t: fpu avx512f\nvmx flags : vnmi\n')
    assert read_processor_flags(cpuinfo) == {'fpu', 'avx512f'}
    assert read_processor_flags(tmp_path / 'absent') == set()
    monkeypatch.setattr(prediction, 'read_processor_flags', lambda: read_processor_flags(cpuinfo))
    with pytest.raises(ValueError, match=r'\(--amp\) needs a GPU, or a processor'):
        choose_dtype(torch.device('cpu'))


def test_gpus(monkeypatch):
    """By their capability."""
    for capability, dtype in (((7, 5), torch.float16), ((8, 0), torch.bfloat16)):
        monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda _, found=capability: found)
        assert choose_dtype(torch.device('cuda')) == dtype


@torch.no_grad()
def test_operators_without_bfloat16(monkeypatch):
    """mmcv's deformable convolutions: their part stays in float32, and the others do not."""
    from mmcv.ops import DeformConv2dPack

    parts = {'neck': DeformConv2dPack(8, 8, 3, padding=1), 'bbox_head': torch.nn.Conv2d(8, 8, 3)}
    model = torch.nn.ModuleDict(parts).eval()
    lines = []
    monkeypatch.setattr(prediction, 'print_log', lambda line, *args: lines.append(line))
    x = torch.randn(1, 8, 9, 9)
    expected = model.neck(x), model.bbox_head(x)
    accelerate_prediction(model, amp=True)
    for _ in range(2):
        assert torch.equal(model.neck(x), expected[0])
    assert not torch.equal(model.bbox_head(x), expected[1])
    assert len(lines) == 1
    assert lines[0].startswith('DeformConv2dPack predicts in float32: ')
    with pytest.raises(RuntimeError, match='channels'):  # other errors arrive
        model.bbox_head(x[:, :3])


@torch.no_grad()
def test_narrow_outputs_of_other_networks():
    """oneDNN's bfloat16 kernels depend on uninitialised memory there."""
    model = torch.nn.ModuleDict({'neck': torch.nn.Conv2d(8, 16, 3, 2, padding=1)}).eval()
    x = torch.randn(1, 8, 20, 2)
    expected = model.neck(x)
    torch.full((4096,), float('nan'))
    accelerate_prediction(model, amp=True)
    torch.testing.assert_close(model.neck(x), expected, rtol=0.02, atol=0.02)


@torch.no_grad()
def test_a_copy_computes_with_its_own_weights(root):
    model, images = build(root, 'retinanet'), torch.randn(1, 3, 64, 96)
    accelerate_prediction(model, amp=True)
    expected = model.extract_feat(images)
    other = copy.deepcopy(model)
    for param in other.parameters():
        param.zero_()
    assert not any(feature.any() for feature in other.extract_feat(images))
    for ours, theirs in zip(model.extract_feat(images), expected, strict=True):
        assert torch.equal(ours, theirs)
