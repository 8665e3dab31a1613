"""A hook that records the number of torch's threads in the trainings of a test."""

from pathlib import Path

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class RecordThreads(Hook):
    """Writes the numbers of threads at the start and after an iteration into FOLDER/RANK."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def before_run(self, runner: object) -> None:
        self.record()

    def after_train_iter(self, runner: object, *args: object, **kwargs: object) -> None:
        self.record()

    def record(self) -> None:
        with open(self.folder / str(get_rank()), 'a') as file:
            file.write(f'{torch.get_num_threads()}\n')
