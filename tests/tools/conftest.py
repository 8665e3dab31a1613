import importlib
import os
import runpy
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from small_models import SHAPES, save_random_model
from trainings import serve


def find_free_port() -> int:
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        return server.getsockname()[1]


@pytest.fixture
def free_port() -> int:
    """A port of this machine that nothing listens on."""
    return find_free_port()


@pytest.fixture(scope='session')
def nano(root: Path) -> Path:
    """The config of a very small detector."""
    return root / 'configs' / 'retinanet' / 'cednet_nano_shapes.py'


@pytest.fixture(scope='session')
def checkpoint(nano: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of that detector."""
    return save_random_model(nano, tmp_path_factory.mktemp('model') / 'a.pth', classes=SHAPES)


@pytest.fixture
def run_tool(root, tmp_path, tmp_path_factory) -> Callable[..., subprocess.CompletedProcess]:
    """Run a tool in a process of its own, in a temporary folder, and check its exit code.

    The process has the toolboxes imported already. With ``fresh``, and for shell scripts, it is a new
    one, as a user starts it: at least one call of each tool.
    """

    def run(name, *args, expected_code=0, fresh=False):
        tool, args = root / 'tools' / name, [*map(str, args)]
        env = dict(os.environ, PYTHON=sys.executable, PORT=str(find_free_port()))
        if name.endswith('.py') and not fresh:
            result = serve(tool, args, tmp_path, [tmp_path_factory.mktemp('output')], env)
        else:
            command = [sys.executable, tool] if name.endswith('.py') else [tool]
            result = subprocess.run(
                [*command, *args], capture_output=True, text=True, cwd=tmp_path, env=env
            )
        output = result.stdout[-2000:] + result.stderr[-4000:]
        assert result.returncode == expected_code, output
        return result

    return run


@pytest.fixture
def run_in_two(root, tmp_path, tmp_path_factory) -> Callable[..., subprocess.CompletedProcess]:
    """Run a tool in two processes, as ``run_tool`` in one; dist_*.sh takes ten seconds longer."""

    def run(name, *args):
        env = dict(os.environ, MASTER_ADDR='127.0.0.1', MASTER_PORT=str(find_free_port()))
        env |= dict(WORLD_SIZE='2', LOCAL_WORLD_SIZE='2')
        outputs = [tmp_path_factory.mktemp('output') for _ in range(2)]
        args = [*map(str, args), '--launcher', 'pytorch']
        result = serve(root / 'tools' / name, args, tmp_path, outputs, env)
        assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
        return result

    return run


@pytest.fixture
def load_main(root) -> Callable[[str], Callable]:
    """Load the ``main`` of a tool, to call it in this process."""

    return lambda name: runpy.run_path(str(root / 'tools' / name))['main']


@pytest.fixture
def setup_env(root, monkeypatch) -> ModuleType:
    """tools/setup_env.py, which imports the file next to it."""
    monkeypatch.syspath_prepend(root / 'tools')
    return importlib.import_module('setup_env')


@pytest.fixture
def get_error(load_main, tmp_path, monkeypatch) -> Callable[..., str]:
    """Run a tool's ``main``, which must exit with an error, and return its message."""
    monkeypatch.chdir(tmp_path)

    def run(name, *args):
        with pytest.raises(SystemExit) as caught:
            load_main(name)([*map(str, args)])
        return caught.value.code

    return run


@pytest.fixture
def config(root, shapes, tmp_path):
    """The demo's config on a few images."""
    path = tmp_path / 'config.py'
    path.write_text(
        f'_base_ = {str(root / "configs/retinanet/cednet_nano_shapes.py")!r}\n'
        f'data = dict(data_root={str(shapes)!r})\n'
        'train_dataloader = dict(num_workers=0, persistent_workers=False, dataset=data)\n'
        'val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=data)\n'
        'test_dataloader = val_dataloader\n'
        f'val_evaluator = dict(ann_file={str(shapes / "annotations/val.json")!r})\n'
        'test_evaluator = val_evaluator\n'
    )
    return path
