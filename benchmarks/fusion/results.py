"""The file of finished runs, and which recipe a network gets."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from dataclasses import asdict, replace
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path
from typing import Any

from mmcednet.files import atomic_write
from mmcednet.visualization.charts import read_log

from .stopping import end_children, leave_on_signals
from .training import Run, train

LEARNING_RATES = (5e-4, 1e-3, 2e-3)
WEIGHT_DECAYS = (0.05, 0.2)  # the second is tried with the best learning rate only
TUNING_SEED = 0  # the comparison has the seeds 1, 2, ...


class Results:
    """Finished runs in a JSON file, one per line.

    Args:
        path: The file; it is created with the first run.

    Raises:
        ValueError: The file is not one of this class.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        if path.exists():
            try:
                self.rows = json.loads(path.read_text())['runs']
            except (ValueError, KeyError, TypeError):
                raise ValueError(f'{path} is not a file of results of this benchmark') from None

    def add(self, row: dict[str, Any]) -> None:
        """Add a finished run and write the file."""
        self.rows.append(json.loads(json.dumps(row)))  # as it is read again: lists, not tuples
        lines = ',\n'.join(json.dumps(item) for item in self.rows)
        with atomic_write(self.path) as temporary:
            temporary.write_text(f'{{"runs": [\n{lines}\n]}}\n')

    def find(self, run: Any) -> dict[str, Any] | None:
        """Results of a run, a dataclass; None if it has not finished yet."""
        return next(self.select(**asdict(run)), None)

    def select(self, **wanted: Any) -> Iterator[dict[str, Any]]:
        """Iterate over the runs that have the given values."""
        wanted = json.loads(json.dumps(wanted))  # lists, not tuples
        for row in self.rows:
            if all(row[key] == value for key, value in wanted.items()):
                yield row


def read_latest_log(work_dir: Path) -> list[dict[str, Any]]:
    """Read what the latest training in a work dir has logged, a dict for each entry."""
    return read_log(max(work_dir.glob('*/vis_data/scalars.json'), key=os.path.getmtime))


def start_process(device: str) -> ProcessPoolExecutor:
    """Start a process for one task, on a CPU with the toolbox imported once for all of them.

    Other than those of multiprocessing.Pool, it may start processes that load images. Importing the
    toolbox initialises CUDA, which a fork cannot use, so that on a GPU each process imports it.
    """
    if device == 'cuda' or 'forkserver' not in get_all_start_methods():  # as on Windows
        return ProcessPoolExecutor(1, get_context('spawn'))
    context = get_context('forkserver')
    context.set_forkserver_preload(['mmdet.models', 'mmcednet'])
    return ProcessPoolExecutor(1, context)


def train_missing(
    results: Results,
    runs: Iterable[Any],
    jobs: int,
    train_one: Callable[[Any], dict[str, Any]],
    describe: Callable[[dict[str, Any]], str],
) -> None:
    """Train the runs that have not finished yet, in the given order, and print a line for each.

    Args:
        results: Finished runs; new ones are added.
        runs: Dataclasses that say what to train.
        jobs: Number of runs at a time.
        train_one: Trains a run and returns its row.
        describe: The text of a row's line.

    Raises:
        Exception: That of the first run that failed; those that were training beside it are finished
            and added, others are not begun.
        SystemExit: A signal stopped them.
    """
    wanted = list(runs)
    missing = [run for run in wanted if results.find(run) is None]
    if len(missing) < len(wanted):  # of data and weights with the same names, whoever's they are
        number = len(wanted) - len(missing)
        print(f'{number} of {len(wanted)} runs are in {results.path} already', file=sys.stderr)
    errors = []
    with leave_on_signals(), ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(train_one, run) for run in missing]
        try:
            for number, future in enumerate(as_completed(futures), 1):
                if future.cancelled():
                    continue
                if error := future.exception():
                    errors.append(error)
                    for each in futures:
                        each.cancel()
                    continue
                results.add(row := future.result())
                print(f'[{number}/{len(missing)}] {describe(row)}', flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            end_children()
            raise
    if errors:
        raise errors[0]


class Trainer:
    """Trains runs, several at once.

    Args:
        results: Finished runs, which are not trained again; new ones are added.
        folder: Folder of the dataset.
        out: Folder of the logs.
        jobs: Number of processes, of one thread each.
        weights: Folder of the initial weights; None for random ones.
    """

    def __init__(
        self, results: Results, folder: Path, out: Path, jobs: int, weights: Path | None = None
    ) -> None:
        self.results = results
        self.folder = folder
        self.out = out
        self.jobs = jobs
        self.weights = weights

    def train(self, runs: Iterable[Run]) -> None:
        """Train; see :func:`train_missing`."""
        train_missing(self.results, runs, self.jobs, self.train_one, self.describe)

    def train_one(self, run: Run) -> dict[str, Any]:
        """Train in a process of its own: mmengine keeps visualizers and loggers of earlier runs."""
        try:
            with start_process(run.device) as process:
                return process.submit(train, run, self.folder, self.out, self.weights).result()
        except Exception as error:
            log = self.out / run.name / 'output.log'
            raise ValueError(f'the run {run.name} failed, see {log}: {error}') from error

    def describe(self, row: dict[str, Any]) -> str:
        recipe = f'learning rate {row["lr"]:g}, weight decay {row["weight_decay"]:g}'
        score = f'{row["curve"][-1][1]:.1f} on the validation images'
        return f'{row["model"]}, {recipe}, seed {row["seed"]}: {score}, {row["seconds"]} s'

    def tune(self, runs: Iterable[Run]) -> list[Run]:
        """Choose learning rate and weight decay of each run's network on the validation images.

        Three learning rates are tried with the first weight decay, then the second weight decay with
        the best of them, with half of the iterations.

        Returns:
            The runs with the best recipes.
        """
        drafts = [replace(run, iters=run.iters // 2, seed=TUNING_SEED) for run in runs]
        first = [
            replace(draft, lr=lr, weight_decay=WEIGHT_DECAYS[0])
            for lr in LEARNING_RATES
            for draft in drafts
        ]
        self.train(first)
        second = [
            replace(self.get_best(draft, first), weight_decay=WEIGHT_DECAYS[1]) for draft in drafts
        ]
        self.train(second)
        chosen = [self.get_best(draft, [*first, *second]) for draft in drafts]
        return [
            replace(run, lr=best.lr, weight_decay=best.weight_decay) for run, best in zip(runs, chosen)
        ]

    def get_best(self, draft: Run, tried: Iterable[Run]) -> Run:
        def get_score(run: Run) -> float:
            row = self.results.find(run)
            assert row is not None
            return row['curve'][-1][1]

        return max((run for run in tried if run.model == draft.model), key=get_score)
