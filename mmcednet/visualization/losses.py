"""The curve of a training's losses, drawn while it runs."""

from pathlib import Path

from matplotlib.figure import Figure
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from .charts import read_log, save

SMOOTHING = 50  # points of a curve; each is the mean of as many logged values as that takes


@HOOKS.register_module()
class LossCurveHook(Hook):
    """Draws the losses so far into ``losses.png`` of the work dir.

    Args:
        interval: Iterations between two pictures.
    """

    priority = 'LOWEST'  # after the values are logged

    def __init__(self, interval: int) -> None:
        self.interval = interval

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: object = None
    ) -> None:
        if is_main_process() and (
            self.every_n_train_iters(runner, self.interval) or self.is_last_train_iter(runner)
        ):
            draw_losses(read_losses(Path(runner.work_dir)), Path(runner.work_dir, 'losses.png'))


def read_losses(work_dir: Path) -> dict[str, list[tuple[int, float]]]:
    """Read the losses that a training and those that it resumed have logged.

    Args:
        work_dir: Folder of the training; each start has a folder of its own in it.

    Returns:
        Name -> (iteration, value) of each logged one.
    """
    entries: list[dict] = []
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        found = [entry for entry in read_log(path) if 'loss' in entry]
        if found:  # what came after the resumed checkpoint, or in another training, does not count
            entries = [entry for entry in entries if entry['step'] < found[0]['step']] + found
    names = [key for key in (entries[0] if entries else {}) if key.startswith('loss')]
    return {name: [(entry['step'], entry[name]) for entry in entries] for name in names}


def draw_losses(losses: dict[str, list[tuple[int, float]]], out: Path) -> None:
    """Draw losses over the iterations, smoothed, on a logarithmic scale.

    Args:
        losses: As :func:`read_losses` returns them; nothing is drawn without any.
        out: Image file to write.
    """
    if not losses:
        return
    figure = Figure(figsize=(7, 4), layout='constrained')
    axes = figure.subplots()
    for name, values in losses.items():
        width = max(1, len(values) // SMOOTHING)
        parts = [values[i : i + width] for i in range(0, len(values), width)]
        points = [[sum(column) / len(part) for column in zip(*part)] for part in parts]
        axes.plot(*zip(*points), label=name, linewidth=2.5 if name == 'loss' else 1)
    axes.set(xlabel='iteration', ylabel='loss', yscale='log')
    axes.grid(alpha=0.3, which='minor')  # save draws the others
    figure.legend(loc='outside right upper')
    save(figure, out)
