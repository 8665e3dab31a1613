"""Written configs: they load, build, and fit their dataset."""

import shutil

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from mmcednet.data.coco_files import write_splits
from mmcednet.data.voc import convert_voc
from mmcednet.own_data.new_config import FRAMEWORKS, write_new_config


@pytest.fixture
def folder(shapes, tmp_path):
    return shutil.copytree(shapes, tmp_path / 'data')


def write(folder, framework, arch, root, **settings):
    out = folder.parent / 'my.py'
    draft = write_new_config(folder, framework, arch, out, root / 'configs', **settings)
    return draft, Config.fromfile(out)


@pytest.mark.parametrize('arch', ['tiny', 'base', 'nano'])
@pytest.mark.parametrize('framework', FRAMEWORKS)
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
    file = tmp_path / 'weights.pth'
    file.touch()
    scratch, _ = write(folder, 'retinanet', 'small', root)
    (tmp_path / 'my.py').unlink()
    draft, cfg = write(folder, 'retinanet', 'small', root, pretrained=file)
    assert cfg.model.backbone.init_cfg == dict(type='Pretrained', checkpoint=str(file))
    assert cfg.model.backbone.arch == 'small'
    assert cfg.optim_wrapper.constructor == 'LayerDecayOptimWrapperConstructor'
    assert [reason[0] for reason in draft.reasons] == [reason[0] for reason in scratch.reasons]
    with pytest.raises(ValueError, match=r'the checkpoint .*gone\.pth does not exist'):
        write_new_config(
            folder, 'retinanet', 'tiny', tmp_path / 'x.py', root / 'configs', tmp_path / 'gone.pth'
        )


def test_bases_are_relative_within_the_project(folder, root, tmp_path):
    project = tmp_path / 'project'
    shutil.copytree(root / 'configs' / '_base_', project / 'configs' / '_base_')
    out = project / 'mine' / 'my.py'
    write_new_config(folder, 'retinanet', 'tiny', out, project / 'configs')
    shutil.move(project, tmp_path / 'moved')
    cfg = Config.fromfile(tmp_path / 'moved' / 'mine' / 'my.py')
    assert cfg.model.backbone.type == 'CEDNet'


def test_wrong_arguments_write_nothing(folder, root, tmp_path):
    configs = root / 'configs'
    out = tmp_path / 'my.py'
    with pytest.raises(ValueError, match="framework 'yolo' is unknown; choose one of: retinanet"):
        write_new_config(folder, 'yolo', 'tiny', out, configs)
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


def test_masks_are_required_where_they_are_learned(bccd, root, tmp_path):
    write_splits(convert_voc(bccd), bccd / 'coco')
    with pytest.raises(ValueError, match='mask_rcnn needs masks'):
        write_new_config(bccd, 'mask_rcnn', 'nano', tmp_path / 'my.py', root / 'configs')
