"""Checkpoints of trainings that may be killed at any moment."""

from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from mmcednet.files import atomic_write

INTERRUPTED = 'interrupted.pth'  # of a training that a signal stopped
POINTER = 'last_checkpoint'  # mmengine's
OUTDATED = 'outdated_ckpts'  # in a checkpoint: names of those that it replaces


class AtomicBackend(LocalBackend):
    """mmengine's backend of local files, which appear under their name only once they are complete."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        with atomic_write(Path(filepath)) as temporary:
            temporary.write_bytes(obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        self.put(obj.encode(encoding), filepath)


def write_atomically() -> None:
    """Make mmengine write local files under a temporary name and rename them."""
    register_backend('local', AtomicBackend, force=True, prefixes='')


def point_to(checkpoint: Path, work_dir: Path) -> None:
    """Note the latest checkpoint, as mmengine does."""
    with atomic_write(work_dir / POINTER) as temporary:
        temporary.write_text(str(checkpoint))


class LateRemoval(LocalBackend):
    """Keeps outdated files until those that replace them are written."""

    def __init__(self) -> None:
        self.outdated: list[str] = []

    def remove(self, filepath: str | Path) -> None:
        self.outdated.append(str(filepath))

    def remove_outdated(self) -> None:
        while self.outdated:
            Path(self.outdated.pop()).unlink(missing_ok=True)


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """mmengine's CheckpointHook for local files, which a kill or a full disk leaves usable.

    The arguments are the same. An outdated checkpoint is removed after its successor is written, not
    before, and the best one likewise.
    """

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        self.file_backend = LateRemoval()
        self.last_ckpt = runner.message_hub.get_info('last_ckpt')
        if is_main_process():
            for path in Path(self.out_dir).glob('.*.unfinished.pth'):
                path.unlink()
            self.remove_left_over(runner)

    def remove_left_over(self, runner: Runner) -> None:
        """Remove what the resumed checkpoint replaces, if the training was killed before it did so."""
        folder = Path(self.out_dir)
        if self.last_ckpt and Path(self.last_ckpt).parent == folder:  # not that of another training
            for name in runner.message_hub.get_info(OUTDATED, []):
                (folder / name).unlink(missing_ok=True)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        outdated = []
        if self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids:
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                outdated.append(self.filename_tmpl.format(self.keep_ckpt_ids.popleft()))
                self.file_backend.remove(Path(self.out_dir, outdated[0]))
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        runner.message_hub.update_info(OUTDATED, outdated)
        path = Path(self.out_dir, self.filename_tmpl.format(step))
        self.last_ckpt = str(path)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            path.name,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            **self.args,
        )
        self.finish(runner, path)

    def finish(self, runner: Runner, path: Path) -> None:
        """Remove what the checkpoint ``path`` replaces."""
        if is_main_process():
            point_to(path, Path(runner.work_dir))
            self.file_backend.remove_outdated()
            Path(runner.work_dir, INTERRUPTED).unlink(missing_ok=True)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, Any]) -> None:
        super()._save_best_checkpoint(runner, metrics)
        if is_main_process():
            self.file_backend.remove_outdated()
