#!/usr/bin/env python3
"""Compares initial weights: trains the config of new_config.py from each, with several seeds.

Finished runs are kept in a JSON file: a second call continues where the first one stopped.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmcednet_threads import limit_threads

if __name__ == '__main__':
    limit_threads()  # before torch is imported

from fusion.arguments import add_dataset_arguments, add_run_arguments
from fusion.report import TITLES, format_mean, get_mean_and_width
from fusion.results import Results, read_latest_log, train_missing
from fusion.training import METRICS, NONE
from matplotlib.figure import Figure

from mmcednet.command_line import check_positive, exit_on_error
from mmcednet.files import atomic_write
from mmcednet.metrics import to_percent

TOOLS = Path(__file__).resolve().parents[1] / 'tools'
IN_PROCESS = [  # of each data loader: processes of its own do not pay beside other trainings
    f'{split}_dataloader.{key}'
    for split in ('train', 'val', 'test')
    for key in ('num_workers=0', 'persistent_workers=False')
]
# (weights, learning rate) -> epochs -> seed -> score
Scores = dict[tuple[str, float], dict[int, dict[int, float]]]


@dataclass(frozen=True)
class Run:
    """A training."""

    data: str  # name of the dataset's folder
    framework: str
    weights: str  # as for new_config.py --pretrained; of a file its name
    epochs: int  # the length of the schedule
    lr: float  # learning rate
    seed: int

    @property
    def name(self) -> str:
        return f'{self.data}-{self.framework}-{self.weights}-{self.epochs}-{self.lr:g}-{self.seed}'


def train(run: Run, folder: Path, weights: str, out: Path) -> dict[str, Any]:
    """Train in a process of one thread and evaluate at the end, on the validation images.

    Args:
        run: The training.
        folder: Folder of the dataset.
        weights: As for new_config.py --pretrained.
        out: Folder of the config, the logs and the checkpoints.

    Returns:
        The run's fields and ``score``, the framework's metric in percent.

    Raises:
        ValueError: A command failed; the last line that it printed is in the message.
    """
    work_dir = out / run.name
    config = work_dir / 'config.py'
    shutil.rmtree(work_dir, ignore_errors=True)  # of a run that was interrupted
    work_dir.mkdir(parents=True)
    kind = ['--framework', run.framework, '--arch', 'nano', '--pretrained', weights]
    call('new_config.py', '--data', folder, *kind, '--epochs', run.epochs, '-o', config)
    options = [f'randomness.seed={run.seed}', f'train_cfg.val_interval={run.epochs}', *IN_PROCESS]
    options.append(f'optim_wrapper.optimizer.lr={run.lr:g}')
    call('train.py', config, '--work-dir', work_dir, '--cfg-options', *options)
    entries = read_latest_log(work_dir)
    metric = METRICS[run.framework]
    # mmdet gives no AP where a detector finds nothing
    score = [0.0, *(entry[metric] for entry in entries if metric in entry)][-1]
    return dict(asdict(run), score=round(to_percent(metric, score), 2))


def call(tool: str, *args: Any) -> None:
    """Run a command of tools/ with one thread."""
    done = subprocess.run(
        [sys.executable, TOOLS / tool, *map(str, args)],
        env=dict(os.environ, OMP_NUM_THREADS='1'),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        command = ' '.join(map(str, (f'tools/{tool}', *args)))
        raise ValueError(f'{command} failed: {" ".join(last)}')


def shorten(weights: str) -> str:
    """The name of weights in the results: a file's name without its folder and suffix."""
    return Path(weights).stem if Path(weights).suffix else weights


def group_scores(results: Results, data: str, framework: str) -> Scores:
    """Group the scores of a dataset and framework."""
    scores: Scores = {}
    for row in results.select(data=data, framework=framework):
        by_epochs = scores.setdefault((row['weights'], row['lr']), {})
        by_epochs.setdefault(row['epochs'], {})[row['seed']] = row['score']
    return scores


def make_table(scores: Scores, framework: str) -> str:
    """Make a Markdown table: mean and standard error, and the gain over random weights, by seed."""
    header = ['weights', 'rate', 'epochs', 'seeds', TITLES[framework], f'gain over {NONE}']
    lines = ['| ' + ' | '.join(header) + ' |', '| --- ' * len(header) + '|']
    for (weights, lr), by_epochs in sorted(
        scores.items(), key=lambda item: (item[0][0] != NONE, item[0])
    ):
        for epochs, found in sorted(by_epochs.items()):
            random = scores.get((NONE, lr), {}).get(epochs, {}) if weights != NONE else {}
            gains = [found[seed] - random[seed] for seed in found if seed in random]
            cells = [
                weights,
                f'{lr:g}',
                str(epochs),
                str(len(found)),
                format_mean(list(found.values())),
            ]
            cells.append(format_mean(gains, '{:+.1f}') if gains else '')
            lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines) + '\n'


def draw_figure(scores: Scores, framework: str, title: str, out: Path) -> None:
    """Draw the score over the length of the training; bars are standard deviations over the seeds."""
    figure = Figure(figsize=(5.5, 4))
    axes = figure.subplots()
    for (weights, lr), by_epochs in scores.items():
        epochs = sorted(by_epochs)
        centre, width = get_mean_and_width([list(by_epochs[number].values()) for number in epochs])
        axes.errorbar(
            epochs, centre, yerr=width, marker='o', capsize=3, label=f'{weights}, rate {lr:g}'
        )
    axes.set(xlabel='epochs of the training', ylabel=TITLES[framework], title=title)
    axes.legend()
    axes.grid(alpha=0.4)
    figure.tight_layout()
    with atomic_write(out) as temporary:
        figure.savefig(temporary, dpi=110)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_dataset_arguments(parser)
    parser.add_argument(
        '--weights',
        nargs='+',
        default=[NONE, 'nano'],
        help=f'as for tools/new_config.py --pretrained; default: {NONE} nano',
    )
    parser.add_argument(
        '--epochs',
        type=int,
        nargs='+',
        default=[5, 10, 20],
        help='lengths of the trainings, each with all weights and seeds; default: 5 10 20',
    )
    parser.add_argument(
        '--lr',
        type=float,
        nargs='+',
        default=[1e-3],
        help='learning rates, each with all weights, epochs and seeds; default: 1e-3',
    )
    add_run_arguments(parser, Path(__file__), seeds=3)
    args = parser.parse_args(argv)
    check_positive(parser, args, 'seeds', 'jobs')
    names = list(map(shorten, args.weights))
    for option, values in (('weights', names), ('epochs', args.epochs), ('lr', args.lr)):
        repeated = next((value for value in values if values.count(value) > 1), None)
        if repeated is not None:
            parser.error(f'--{option} has {repeated} twice; the rows of the table need different names')
    return args


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    data = args.data.resolve().name
    with exit_on_error():
        results = Results(args.results or args.out / 'results.json')
        runs = [
            Run(data, args.framework, shorten(weights), epochs, lr, seed)
            for seed in range(args.seeds)
            for epochs in args.epochs
            for lr in args.lr
            for weights in args.weights
        ]
        weights = {shorten(given): given for given in args.weights}
        train_missing(
            results,
            runs,
            args.jobs,
            lambda run: train(run, args.data, weights[run.weights], args.out),
            '{weights}, {epochs} epochs, rate {lr:g}, seed {seed}: {score:.1f}'.format_map,
        )
        scores = group_scores(results, data, args.framework)
        table = make_table(scores, args.framework)
        print(table)
        name = f'{data}-{args.framework}'
        with atomic_write(args.out / f'{name}.md') as temporary:
            temporary.write_text(table)
        draw_figure(scores, args.framework, name, args.out / f'{name}.png')
        print(f'table and figure: {args.out / name}.md and .png')
    return 0


if __name__ == '__main__':
    sys.exit(main())
