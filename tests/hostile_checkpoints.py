"""Checkpoints whose unpickling writes a file, in ten ways."""

import os
import pickle
import runpy
import shutil
import subprocess
from pathlib import Path

import numpy as np
import torch


class Call:
    """Is unpickled by calling a function."""

    def __init__(self, function, *args):
        self.reduced = function, args

    def __reduce__(self):
        return self.reduced


def save(content, path, **settings):
    torch.save(dict(state_dict=dict(weight=torch.zeros(1)), meta=dict(epoch=content)), path, **settings)


def write_all(folder: Path, marker: Path) -> dict[str, Path]:
    """Write ten checkpoints by name; loading any of them without care creates ``marker``."""
    command = f'touch {marker}'
    code = f'open({str(marker)!r}, "w").close()'
    script, empty = folder / 'evil_script.py', folder / 'empty'
    script.write_text(code)
    empty.touch()
    array = folder / 'array.npy'
    np.save(array, np.array([Call(os.system, command)], dtype=object), allow_pickle=True)
    contents = {
        'popen': Call(subprocess.check_call, ['touch', str(marker)]),
        'map': Call(list, Call(map, os.system, [command])),
        'copy': Call(shutil.copyfile, str(empty), str(marker)),
        'run_path': Call(runpy.run_path, str(script)),
        'loads': Call(pickle.loads, pickle.dumps(Call(os.system, command))),
        'numpy': Call(np.load, str(array), None, True),
    }
    for name, content in contents.items():
        save(content, folder / f'{name}.pth')
    old = dict(_use_new_zipfile_serialization=False)
    save(Call(os.system, command), folder / 'old_format.pth', **old)
    (folder / 'protocol_0.pth').write_bytes(pickle.dumps(Call(exec, code), 0))
    (folder / 'protocol_4.pth').write_bytes(pickle.dumps(Call(eval, code), 4))
    # getattr(getattr(os.path, 'os'), 'system')(command)
    module = "cbuiltins\ngetattr\n(cos\npath\nS'os'\ntR"
    opcodes = f"cbuiltins\ngetattr\n({module}S'system'\ntR(S'{command}'\ntR."
    (folder / 'getattr.pth').write_bytes(opcodes.encode())
    return {path.stem: path for path in sorted(folder.glob('*.pth'))}
