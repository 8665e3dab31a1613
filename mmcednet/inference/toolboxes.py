"""Toolboxes imported for a prediction: without the packages that only other tasks of theirs need."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

# What mmdet and mmseg import for augmentations, trainings, lane detection and backbones of timm
DEFERRED = ('imagecorruptions', 'imgaug', 'scipy', 'timm')


def import_toolbox(scope: str | None) -> None:
    """Import the toolbox of a config, for a command that predicts and then ends; saves 2 of 6 seconds.

    mmdet, which mmseg imports, comes without mmpretrain, so that its re-identification models cannot be
    built in this process. The packages in ``DEFERRED`` are imported when they are used.

    Args:
        scope: The config's default scope; nothing happens if it is no installed toolbox.
    """
    if scope not in ('mmdet', 'mmseg') or find_spec(scope) is None:
        return
    with hide_module('mmpretrain'), defer_packages(DEFERRED):
        for part in ('apis', 'datasets', 'models'):
            import_module(f'{scope}.{part}')


@contextmanager
def hide_module(name: str) -> Iterator[None]:
    """Let imports of a module fail as if it were not installed, unless it is imported already."""
    hidden = name not in sys.modules
    if hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # makes import raise an ImportError
    try:
        yield
    finally:
        if hidden:
            del sys.modules[name]


@contextmanager
def defer_packages(names: Sequence[str]) -> Iterator[None]:
    """Import packages, and what lies in them, only when their functions and classes are called.

    Modules that are imported meanwhile cannot derive classes from theirs. Packages that are imported
    already, or not installed, are left alone.
    """
    finder = DeferredFinder([name for name in names if name not in sys.modules and find_spec(name)])
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for module in [key for key, value in sys.modules.items() if isinstance(value, DeferredModule)]:
            del sys.modules[module]


class DeferredModule(ModuleType):
    """Stands for a module that is not imported yet."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__'):
            raise AttributeError(name)
        return Deferred(self.__name__, name)


class Deferred:
    """Stands for a function, class or submodule: imports it when it is called or its attributes are."""

    def __init__(self, module: str, name: str) -> None:
        self._place = module, name

    def _import(self) -> Any:
        module, name = self._place
        imported = import_module(module)
        return getattr(imported, name) if hasattr(imported, name) else import_module(f'{module}.{name}')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._import()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._import(), name)


class DeferredFinder(MetaPathFinder, Loader):
    """Finds packages and all modules in them, and makes them :class:`DeferredModule`."""

    def __init__(self, packages: Sequence[str]) -> None:
        self.packages = packages

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        deferred = name.split('.')[0] in self.packages
        return ModuleSpec(name, self, is_package=True) if deferred else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return DeferredModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing, until something in it is called."""
