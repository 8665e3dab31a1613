"""CEDNet in place of the backbone and the neck of an existing config."""

import importlib.util
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmcednet.config_files import (
    TOOLBOXES,
    check_new_config,
    find_config,
    get_type,
    iter_dicts,
    read_config,
    write_config,
)

from .rules import Plan, drop_type, plan_model, to_list

# What CEDNet's ImageNet weights expect: RGB images
NORMALIZATION = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])


class Edit(NamedTuple):
    """What a config with CEDNet sets on top of its base."""

    settings: dict[str, Any]
    comments: dict[str, str]  # by dotted name of a setting
    title: str


def use_cednet(
    config: str,
    out: Path,
    arch: str | dict = 'tiny',
    style: str | None = None,
    mixer: str | None = None,
) -> Config:
    """Write a config that inherits from another one and has CEDNet for backbone and neck.

    Args:
        config: A file, or a config of an installed toolbox, as 'mmdet::fcos/NAME.py'.
        out: The config to write, which must not exist.
        arch: As for :class:`mmcednet.models.CEDNet`, like the next two. Default: 'tiny'.
        style: Default: CEDNet's.
        mixer: Default: the arch's.

    Returns:
        The resolved config.

    Raises:
        ValueError: The config does not exist or load, CEDNet cannot be used in it, an argument of
            CEDNet is wrong, or ``out`` exists. Nothing is written then.
    """
    check_new_config(out)
    path, cfg = find_config(config), read_config(config)
    options = {key: value for key, value in dict(style=style, mixer=mixer).items() if value is not None}
    try:
        edit = plan_config(cfg, dict(arch=arch, **options))
    except ValueError as error:
        raise ValueError(f'{config}: {error}') from error
    if any(isinstance(part.get('type'), type) for part in iter_dicts(cfg.model)):
        changes = {key: value for key, value in edit.settings.items() if key != 'custom_imports'}
        lines = ['from mmcednet import CEDNet', *iter_assignments(changes)]
        raise ValueError(
            f'{config} is in pure Python, from which no written config can inherit; add to its end: '
            + '; '.join(lines)
        )
    base = get_base(config, path, out)
    return write_config(out, edit.title, dict(_base_=base, **edit.settings), edit.comments)


def iter_assignments(settings: dict[str, Any], outer: str = '') -> Iterator[str]:
    """Settings as statements of a config in pure Python, in which the backbone's type is a class."""
    for key, value in settings.items():
        name = f'{outer}[{key!r}]' if outer else key
        if isinstance(value, dict) and '_delete_' not in value:
            yield from iter_assignments(value, name)
            continue
        if isinstance(value, dict):
            value = {part: value[part] for part in value if part != '_delete_'}
        yield f'{name} = {value!r}'.replace("'CEDNet'", 'CEDNet')


def get_base(config: str, path: Path, out: Path) -> str:
    """The value of ``_base_``: the toolbox's name where mmengine finds it, else a path.

    The path is relative to the new config if both are below the current folder.
    """
    if '::' in config:
        try:
            Config.fromstring(f'_base_ = {config!r}', '.py')
            return config
        except Exception:  # mmengine looks for mmseg in a package of another name, for example
            return path.resolve().as_posix()
    here = Path.cwd()
    path, folder = path.resolve(), out.resolve().parent
    if path.is_relative_to(here) and folder.is_relative_to(here):
        return Path(os.path.relpath(path, folder)).as_posix()
    return path.as_posix()


def plan_config(cfg: Config, backbone: dict[str, Any]) -> Edit:
    """Decide what a config with CEDNet sets on top of ``cfg``.

    Args:
        cfg: Config of a detector, segmenter or classifier, or of a model with such a ``detector``.
        backbone: Arguments of CEDNet other than its outputs.

    Raises:
        ValueError: CEDNet cannot be used in this config.
    """
    model = cfg.get('model') or {}
    wrapped = 'backbone' not in model and isinstance(model.get('detector'), dict)
    inner = model['detector'] if wrapped else model
    if not get_type(inner.get('backbone')):
        what = f'the model, {get_type(model)},' if model else 'it has no model; a model'
        raise ValueError(f'{what} needs a backbone that is a part of its own, model.backbone')
    scope = cfg.get('default_scope') or 'mmdet'
    if scope not in TOOLBOXES:
        raise ValueError(
            f'its default_scope is {scope!r}; CEDNet can be used in {", ".join(TOOLBOXES)}'
        )
    if importlib.util.find_spec(scope) is None:
        raise ValueError(f'its default_scope is {scope}, which is not installed')
    importlib.import_module(f'{scope}.models')
    init_default_scope(scope)
    inner, preprocessor = strip_scopes(inner), find_preprocessor(cfg)
    channels = inner['backbone'].get('in_channels', 3)
    if channels != 3:
        backbone = dict(backbone, in_channels=channels)
    plan = plan_model(inner, scope, backbone)
    settings, comments = make_settings(cfg, inner, plan, wrapped)
    set_normalization(settings, comments, *preprocessor)
    adapt_training(settings, comments, cfg, plan.backbone)
    old = get_type(inner['backbone'])
    if 'pyramid' in plan.backbone:
        old += f' and {get_type(to_list(inner["neck"])[0])}'
    title = (
        f'CEDNet in place of {old}, by mmcednet use-cednet. It starts from random weights, unless '
        f"mmcednet train has --pretrained FILE. Schedule and optimizer are the base's."
    )
    return Edit(settings, comments, title)


def make_settings(
    cfg: Config, inner: dict, plan: Plan, wrapped: bool
) -> tuple[dict[str, Any], dict[str, str]]:
    """Settings of the model, and their comments."""
    name = 'model.detector' if wrapped else 'model'
    new: dict[str, Any] = {}
    comments = {f'{name}.backbone': plan.reason}
    if inner.get('pretrained'):
        new['pretrained'] = None
    new['backbone'] = dict(_delete_=True, type='CEDNet', **drop_type(plan.backbone))
    new |= plan.parts
    imports = (cfg.get('custom_imports') or {}).get('imports', [])  # a name or a list of names
    settings: dict[str, Any] = dict(
        custom_imports=dict(imports=[*to_list(imports), 'mmcednet']),
        model=dict(detector=new) if wrapped else new,
    )
    return settings, comments


def strip_scopes(node: Any) -> Any:
    """A model's config as plain dicts, without the ``_scope_`` that mmengine adds."""
    if isinstance(node, Mapping):
        return {key: strip_scopes(value) for key, value in node.items() if key != '_scope_'}
    return type(node)(map(strip_scopes, node)) if isinstance(node, (list, tuple)) else node


def find_preprocessor(cfg: Config) -> tuple[tuple[str, ...], Mapping[str, Any]]:
    """Keys of the data preprocessor that normalises the images, and its config."""
    keys = (
        ['model', 'data_preprocessor'] if cfg.model.get('data_preprocessor') else ['data_preprocessor']
    )
    found = cfg
    for key in keys:
        found = found.get(key) or {}
    if 'data_preprocessor' in found:  # of models with several branches
        keys.append('data_preprocessor')
        found = found['data_preprocessor']
    return tuple(keys), found


def set_normalization(
    settings: dict, comments: dict, keys: tuple[str, ...], old: Mapping[str, Any]
) -> None:
    """Normalise images as CEDNet's ImageNet weights expect, unless they are or are not in colour."""
    to_rgb = 'to_rgb' if 'to_rgb' in old else 'bgr_to_rgb'
    new = dict(NORMALIZATION, **{to_rgb: True})
    if (
        not old
        or len(old.get('mean') or (0, 0, 0)) != 3
        or all(old.get(k) == v for k, v in new.items())
    ):
        return
    target = settings
    for key in keys:
        target = target.setdefault(key, {})
    target.update(new)
    comments['.'.join(keys)] = "RGB images, normalised as CEDNet's ImageNet weights expect"


def adapt_training(settings: dict, comments: dict, cfg: Config, backbone: Mapping[str, Any]) -> None:
    """Replace what depends on the old backbone: its learning rates by layer, and a checkpoint."""
    constructor = str((cfg.get('optim_wrapper') or {}).get('constructor', ''))
    if 'Decay' in constructor and 'LayerDecayOptimWrapperConstructor' not in constructor:
        settings['optim_wrapper'] = dict(
            constructor='DefaultOptimWrapperConstructor', paramwise_cfg=None
        )
        comments['optim_wrapper'] = f'{constructor} knows the layers of other backbones only'
    if cfg.get('load_from'):
        settings['load_from'] = None
        comments['load_from'] = 'the checkpoint of the base has another backbone'
    levels = backbone.get('out_levels', (3,))
    if 3 not in levels and backbone.get('final_decoder', True):
        settings['find_unused_parameters'] = True
        comments['find_unused_parameters'] = 'the last stage also has a level 3, which nothing takes'
