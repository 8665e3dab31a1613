"""Written configs: they load, build, and fit their dataset."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, METRICS, MODELS, init_default_scope
from mmengine.runner import CheckpointLoader

from mmcednet import CEDNet
from mmcednet.data.conversion import write_conversion
from mmcednet.data.voc import convert_voc
from mmcednet.launch.device import adapt_to_device
from mmcednet.own_data.choices import choose_arch
from mmcednet.own_data.new_config import DETECTORS, SEGMENTERS, check_splits, write_new_config


@pytest.fixture
def folder(shapes, tmp_path):
    return shutil.copytree(shapes, tmp_path / 'data')


def write(folder, framework, arch, root, **settings):
    out = folder.parent / 'my.py'
    draft = write_new_config(folder, framework, arch, out, root / 'configs', **settings)
    return draft, Config.fromfile(out)


def save_stem(arch, path):
    """Save the first weights of a network."""
    with torch.device('meta'):
        shapes = CEDNet(arch=arch).state_dict()
    weights = {name: torch.ones(value.shape) for name, value in shapes.items() if 'stem' in name}
    torch.save(weights, path)
    return str(path)


def get_reason(draft, setting):
    return next(reason for name, _, reason in draft.reasons if name == setting)


@pytest.mark.parametrize('arch', ['tiny', 'base', 'nano'])
@pytest.mark.parametrize('framework', [*DETECTORS, *SEGMENTERS])
def test_written_configs_build_and_have_the_classes(folder, root, framework, arch):
    _, cfg = write(folder, framework, arch, root)
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    if framework == 'upernet':
        assert model.num_classes == 5
    elif framework == 'retinanet':
        head = model.bbox_head
        assert head.num_classes == 4
        assert tuple(size[0] for size in head.prior_generator.strides) == model.backbone.out_strides
    else:
        heads = model.roi_head.bbox_head
        heads = heads if framework == 'cascade_mask_rcnn' else [heads]
        strides = tuple(size[0] for size in model.rpn_head.prior_generator.strides)
        assert strides == model.backbone.out_strides
        assert all(head.num_classes == 4 for head in heads)
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler[1].end == cfg.param_scheduler[1].T_max


def test_pretrained_weights_are_fine_tuned(folder, root, tmp_path):
    file = save_stem('small', tmp_path / 'weights.pth')
    scratch, _ = write(folder, 'retinanet', 'small', root)
    (tmp_path / 'my.py').unlink()
    draft, cfg = write(folder, 'retinanet', 'small', root, pretrained=file)
    assert cfg.model.backbone.init_cfg == dict(type='Pretrained', checkpoint=file)
    assert cfg.model.backbone.arch == 'small'
    assert cfg.optim_wrapper.constructor == 'LayerDecayOptimWrapperConstructor'
    paper = Config.fromfile(root / 'configs' / 'retinanet' / 'cednet_s.py')
    assert cfg.optim_wrapper.paramwise_cfg == paper.optim_wrapper.paramwise_cfg
    assert [reason[0] for reason in draft.reasons] == [reason[0] for reason in scratch.reasons]
    assert get_reason(draft, 'epochs') == get_reason(scratch, 'epochs')
    assert get_reason(draft, 'optimizer').endswith(
        "the paper's detectors, whose batches have 16 images"
    )
    out = tmp_path / 'x.py'
    with pytest.raises(ValueError, match=r'--pretrained .*gone\.pth does not exist'):
        write_new_config(folder, 'retinanet', 'tiny', out, root / 'configs', str(tmp_path / 'gone.pth'))
    with pytest.raises(ValueError, match=r'--pretrained nano does not fit tiny; use --arch nano'):
        write_new_config(folder, 'retinanet', 'tiny', out, root / 'configs', 'nano')
    assert not out.exists()


@pytest.mark.parametrize('arch', ['tiny', 'base'])
def test_pretrained_segmenters_have_the_rates_of_the_paper(folder, root, tmp_path, arch):
    file = save_stem(arch, tmp_path / 'weights.pth')
    _, cfg = write(folder, 'upernet', arch, root, pretrained=file)
    paper = Config.fromfile(root / 'configs' / 'upernet' / f'cednet_{arch[0]}.py')
    assert cfg.optim_wrapper.to_dict() == paper.optim_wrapper.to_dict()


@pytest.mark.parametrize('arch', ['tiny', 'small'])
def test_pretrained_classifiers(single_shapes, root, tmp_path, arch):
    """Layer-wise decay, and the weight decay of those that are trained from random weights."""
    file = save_stem(arch, tmp_path / 'weights.pth')
    draft, cfg = write(single_shapes, 'classifier', arch, root, pretrained=file)
    assert get_reason(draft, 'optimizer').endswith('; classifiers were not measured')
    init_default_scope('mmpretrain')
    model = MODELS.build(cfg.model)
    cfg.launcher = 'none'
    adapt_to_device(cfg)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    groups = {id(value): group for group in optimizer.param_groups for value in group['params']}
    found = {name: groups[id(value)] for name, value in model.named_parameters()}
    assert found['head.fcs.0.weight']['lr'] == 1e-4 > found['backbone.stem.conv1.weight']['lr']
    imagenet = Config.fromfile(root / 'configs' / 'imagenet' / 'cednet_t.py').optim_wrapper
    for name, decay in (('weight', imagenet.optimizer.weight_decay), ('bias', 0)):
        assert found[f'head.fcs.0.{name}']['weight_decay'] == decay


def test_weights_that_do_not_fit(folder, root, tmp_path):
    file = save_stem('tiny', tmp_path / 'weights.pth')
    with pytest.raises(ValueError, match=rf'does not fit --arch nano: {file} does not fit the model: '):
        write(folder, 'retinanet', 'nano', root, pretrained=file)
    torch.save(dict(weight=torch.ones(1)), file)
    with pytest.raises(ValueError, match=rf'{file} contains no weights of CEDNet'):
        write(folder, 'retinanet', 'nano', root, pretrained=file)
    assert not (tmp_path / 'my.py').exists()


@pytest.mark.parametrize('framework', ['retinanet', 'upernet'])
def test_the_small_network_starts_from_shipped_weights(folder, root, tmp_path, framework):
    draft, cfg = write(folder, framework, 'nano', root)
    assert cfg.model.backbone.init_cfg == dict(type='Pretrained', checkpoint='mmcednet://nano')
    assert ('weights', 'mmcednet://nano') in [reason[:2] for reason in draft.reasons]
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    model.init_weights()
    weights = CheckpointLoader.load_checkpoint('mmcednet://nano')['state_dict']
    key = 'backbone.stages.1.encoder.level5.0.dwconv1.weight'
    assert torch.equal(model.state_dict()[key], weights[key])
    (tmp_path / 'my.py').unlink()
    _, scratch = write(folder, framework, 'nano', root, pretrained='none')
    assert 'init_cfg' not in scratch.model.backbone
    assert scratch.model.backbone.layer_scale == (1e-6 if framework == 'upernet' else 1.0)
    assert cfg.model.backbone.layer_scale == 1.0
    assert get_reason(draft, 'epochs').endswith(
        'half as many as from random weights, as measured on blood cells'
    )
    assert scratch.optim_wrapper == cfg.optim_wrapper


@pytest.mark.parametrize('arch', ['base', 'nano'])
def test_classifiers(single_shapes, root, arch):
    draft, cfg = write(single_shapes, 'classifier', arch, root)
    assert ('classes', 'disc, square, star, triangle') in [row[:2] for row in draft.reasons]
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    features = model.backbone(torch.empty(1, 3, 64, 64, device='meta'))
    assert tuple(model.head(features).shape) == (1, 4)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert len(dataset) == 8 and tuple(dataset[0]['inputs'].shape) == (3, 64, 64)
    assert ('init_cfg' in cfg.model.backbone) == (arch == 'nano')


@pytest.mark.parametrize('framework', ['upernet', 'classifier'])
def test_best_checkpoints_go_by_a_metric_of_the_evaluator(folder, single_shapes, root, framework):
    _, cfg = write(folder if framework == 'upernet' else single_shapes, framework, 'nano', root)
    init_default_scope(cfg.default_scope)
    metric = METRICS.build(cfg.val_evaluator)
    labels = torch.tensor([[0, 1], [1, 2]])
    if framework == 'upernet':
        metric.dataset_meta = dict(classes=cfg.classes)
        maps = {'pred_sem_seg': dict(data=labels[None]), 'gt_sem_seg': dict(data=labels[None])}
        metric.process({}, [maps])
    else:
        metric.process({}, [dict(pred_score=torch.tensor([0.1, 0.9]), gt_label=torch.tensor([1]))])
    name = 'mIoU' if framework == 'upernet' else 'accuracy/top1'
    assert cfg.default_hooks.checkpoint.save_best == name
    assert metric.evaluate(size=1)[name] == 100


def test_bases_are_relative_within_the_project(folder, root, tmp_path):
    project = tmp_path / 'project'
    shutil.copytree(root / 'configs' / '_base_', project / 'configs' / '_base_')
    out = project / 'mine' / 'my.py'
    write_new_config(folder, 'retinanet', 'tiny', out, project / 'configs')
    shutil.move(project, tmp_path / 'moved')
    cfg = Config.fromfile(tmp_path / 'moved' / 'mine' / 'my.py')
    assert cfg.model.backbone.type == 'CEDNet'


@pytest.mark.parametrize('framework', ['retinanet', 'upernet', 'classifier'])
def test_a_relative_folder_is_found_from_elsewhere(
    shapes, single_shapes, root, tmp_path, monkeypatch, framework
):
    folder = single_shapes if framework == 'classifier' else shapes
    monkeypatch.chdir(folder.parent)
    out = tmp_path / 'my.py'
    write_new_config(Path(folder.name), framework, 'nano', out, root / 'configs')
    (tmp_path / 'elsewhere').mkdir()
    monkeypatch.chdir(tmp_path / 'elsewhere')
    cfg = Config.fromfile(out)
    assert cfg.data_root == f'{folder}/'
    check_splits(cfg)
    if framework == 'retinanet':
        assert Path(cfg.val_evaluator.ann_file) == folder / 'annotations' / 'val.json'


def test_the_length_is_edited_in_the_file(folder, root, tmp_path):
    write(folder, 'retinanet', 'nano', root, epochs=40)
    out = tmp_path / 'my.py'
    out.write_text(out.read_text().replace('max_epochs = 40', 'max_epochs = 7'))
    cfg = Config.fromfile(out)
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler[1].end == cfg.param_scheduler[1].T_max == 7


@pytest.mark.parametrize(('epochs', 'warm_up'), [(1, 1), (40, 40), (400, 100)])
def test_warm_up_of_short_trainings(folder, root, epochs, warm_up):
    """At most half of the training, whose epochs have two iterations."""
    _, cfg = write(folder, 'retinanet', 'nano', root, epochs=epochs)
    assert cfg.param_scheduler[0].end == warm_up


def test_wrong_arguments_write_nothing(folder, root, tmp_path):
    configs = root / 'configs'
    out = tmp_path / 'my.py'
    with pytest.raises(ValueError, match="framework 'nothing' is unknown; choose one of: retinanet"):
        write_new_config(folder, 'nothing', 'tiny', out, configs)
    with pytest.raises(ValueError, match="arch 'huge' is unknown; choose one of: tiny"):
        write_new_config(folder, 'retinanet', 'huge', out, configs)
    (folder / 'annotations' / 'val.json').unlink()
    with pytest.raises(ValueError, match='no annotation file'):
        write_new_config(folder, 'retinanet', 'tiny', out, configs)
    assert not out.exists()
    out.write_text('mine')
    with pytest.raises(ValueError, match=r'my\.py exists already'):
        write_new_config(folder, 'retinanet', 'tiny', out, configs)
    assert out.read_text() == 'mine'


@pytest.mark.parametrize(
    ('kind', 'change', 'message'),
    [
        ('annotations', dict(bbox=None), 'annotation {}: its bbox None must be four finite numbers'),
        ('annotations', dict(bbox=[1, 2, 3]), 'its bbox [1, 2, 3] must be four finite numbers'),
        ('annotations', dict(bbox=[1, 2, math.nan, 4]), 'its bbox [1, 2, nan, 4] must be four finite'),
        ('annotations', None, 'annotation {}: it has no category_id'),
        ('images', dict(width='96'), 'image {}: its width and height must be positive numbers'),
    ],
)
@pytest.mark.parametrize('split', ['train', 'val'])
def test_errors_of_annotations(folder, root, split, kind, change, message):
    """They are found before anything is measured."""
    path = folder / 'annotations' / f'{split}.json'
    content = json.loads(path.read_text())
    item = content[kind][1]
    if change is None:
        del item['category_id']
    else:
        item.update(change)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError) as caught:
        write(folder, 'retinanet', 'nano', root)
    assert str(caught.value).startswith(f'{path} has ')
    assert message.format(item['id']) in str(caught.value)


def test_masks_are_required_where_they_are_learned(bccd, root, tmp_path):
    write_conversion(convert_voc(bccd), bccd / 'coco')
    with pytest.raises(ValueError, match='mask_rcnn needs masks'):
        write_new_config(bccd, 'mask_rcnn', 'nano', tmp_path / 'my.py', root / 'configs')


def test_without_a_gpu_the_small_network_is_the_default(folder, root, tmp_path, monkeypatch):
    configs = root / 'configs'
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    draft = write_new_config(folder, 'retinanet', None, tmp_path / 'cpu.py', configs)
    assert draft.reasons[1][1:] == (
        'A very small CEDNet',
        'there is no GPU here; CEDNet-T, with --arch tiny, needs one',
    )
    model = Config.fromfile(tmp_path / 'cpu.py').model
    assert model.backbone.init_cfg.checkpoint == 'mmcednet://nano'
    assert model.backbone.arch.channels == (16, 32, 64, 96)
    with pytest.raises(
        ValueError, match=r'--pretrained my\.pth needs --arch, the network whose weights'
    ):
        write_new_config(folder, 'retinanet', None, tmp_path / 'x.py', configs, 'my.pth')
    assert choose_arch('base', None).value == 'base'
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    assert choose_arch(None, 'my.pth').value == 'tiny'
