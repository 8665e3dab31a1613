"""Models of the toolboxes' configs, with CEDNet, for the classes of a dataset."""

import copy
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config

from mmcednet.config_files import (
    TOOLBOXES,
    find_config,
    find_config_folder,
    get_type,
    iter_dicts,
    read_config,
)
from mmcednet.use_cednet.config import plan_config, strip_scopes
from mmcednet.use_cednet.representatives import find_representative, list_folders

# Steps of a pipeline that load what folders of images do not have
UNKNOWN_LABELS = {
    'LoadPanopticAnnotations': 'panoptic annotations',
    'LoadProposals': 'proposals of another detector',
    'LoadTrackAnnotations': 'videos',
    'LoadTextAnnotations': 'texts',
}
KEPT_HOOKS = ('SetEpochInfoHook',)  # others are about the config's own schedule and data


@dataclass(frozen=True)
class ToolboxModel:
    """A model of a toolbox's config with CEDNet in place of its backbone and neck.

    Attributes:
        name: The config.
        scope: Its toolbox.
        model: The model's config, complete, with the number of classes of its own data.
        imports: Modules that it needs, with CEDNet.
        settings: What else the new config needs of it.
        optim_wrapper: Its optimizer, if that is Adam or AdamW; others are for other batch sizes.
        with_mask: Whether it learns masks of objects.
        reason: What CEDNet replaces, and why so.
    """

    name: str
    scope: str
    model: dict[str, Any]
    imports: list[str]
    settings: dict[str, Any]
    optim_wrapper: dict[str, Any] | None
    with_mask: bool
    reason: str


def find_framework(framework: str, scope: str, own: tuple[str, ...]) -> str:
    """Find the config that a name of a framework stands for.

    Args:
        framework: A folder of the toolbox's configs such as 'atss', a config file, or a config of an
            installed toolbox such as 'mmdet::atss/NAME.py'.
        scope: The toolbox for the data.
        own: Names of this project's frameworks, for the error.

    Raises:
        ValueError: There is none.
    """
    if '::' in framework or framework.endswith('.py'):
        find_config(framework)
        return framework
    folders = list_folders(scope)
    path = find_representative(scope, framework) if framework in folders else None
    if path is None:
        others = [name for name in TOOLBOXES if name != scope and framework in list_folders(name)]
        hint = f'; the data are for {scope}, {framework} is of {others[0]}' if others else ''
        raise ValueError(
            f'framework {framework!r} is unknown; choose one of: {", ".join(own)}; or one of '
            f"{scope}'s that docs/frameworks.md lists{hint}"
        )
    return f'{scope}::{path.relative_to(find_config_folder(scope)).as_posix()}'


def load_toolbox_model(name: str, scope: str, backbone: dict[str, Any]) -> ToolboxModel:
    """Load the model of a config and put CEDNet into it.

    Args:
        name: The config, as :func:`find_framework` returns it.
        scope: The toolbox for the data.
        backbone: Arguments of CEDNet other than its outputs.

    Raises:
        ValueError: CEDNet cannot be used in it, or it needs other data than folders of images.
    """
    cfg = read_config(name)
    steps = [
        step for key in ('train_pipeline', 'train_dataloader') for step in iter_dicts(cfg.get(key))
    ]
    check_data_of(cfg, name, scope, steps)
    try:
        edit = plan_config(cfg, backbone)
    except ValueError as error:
        raise ValueError(f'{name}: {error}') from error
    cfg.merge_from_dict(copy.deepcopy(edit.settings))
    model = strip_scopes(cfg.model.to_dict())
    model.pop('pretrained', None)
    if model.get('data_preprocessor'):
        model['data_preprocessor'].pop('batch_augments', None)  # for images of its own sizes
    settings: dict[str, Any] = {}
    if cfg.get('find_unused_parameters'):
        settings['find_unused_parameters'] = True
    hooks = [hook for hook in cfg.get('custom_hooks') or () if get_type(hook) in KEPT_HOOKS]
    if hooks:
        settings['custom_hooks'] = strip_scopes(hooks)
    optim_wrapper = strip_scopes((cfg.get('optim_wrapper') or Config()).to_dict())
    adam = get_type(optim_wrapper.get('optimizer')) in ('Adam', 'AdamW')
    return ToolboxModel(
        name,
        scope,
        model,
        list(cfg.custom_imports['imports']),
        settings,
        optim_wrapper if adam else None,
        any(step.get('with_mask') for step in steps),
        edit.comments['model.backbone'],
    )


def check_data_of(cfg: Config, name: str, scope: str, steps: list[dict]) -> None:
    """Check that a config trains on images of the kind that the dataset has.

    Raises:
        ValueError: It does not.
    """
    own = cfg.get('default_scope') or 'mmdet'
    if own != scope:
        raise ValueError(f'{name} is a config of {own}, but the data are for {scope}')
    kinds = [UNKNOWN_LABELS[get_type(step)] for step in steps if get_type(step) in UNKNOWN_LABELS]
    if any(step.get('with_seg') for step in steps):
        kinds.append('label maps beside the objects')
    if 'backbone' not in (cfg.get('model') or {}):
        kinds.append('data of another kind, as its model is not a plain detector')
    if kinds:
        raise ValueError(f'{name} trains on {kinds[0]}, which folders of images do not have')


def set_num_classes(node: Any, number: int) -> Any:
    """Return a model's config with another number of classes, at any depth but in RPNs, which have one.

    Weights of classes in a loss become those of the first class, and that of the background stays.
    """
    if isinstance(node, (list, tuple)):
        return type(node)(set_num_classes(part, number) for part in node)
    if not isinstance(node, dict):
        return node
    result = {
        key: value if key == 'rpn_head' else set_num_classes(value, number)
        for key, value in node.items()
    }
    for key in ('num_classes', 'num_things_classes'):
        if result.get(key):
            result[key] = number
    if 'num_stuff_classes' in result:
        result['num_stuff_classes'] = 0
    weights = result.get('class_weight')
    if isinstance(weights, (list, tuple)):
        same = len(set(weights[:-1])) == 1  # otherwise they are those of other classes
        last = [weights[-1]] if weights[-1] != weights[0] else []
        result['class_weight'] = [weights[0]] * number + last if same else None
    if isinstance(result.get('topk'), (list, tuple)) and number < max(result['topk']):
        result['topk'] = (1,)
    return result
