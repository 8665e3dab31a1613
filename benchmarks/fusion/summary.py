"""All comparisons of ConvNeXt with CEDNets of one and of three stages in one table."""

from typing import Any

from .report import TITLES, Groups, format_mean, get_scores, get_validation_score, group_runs
from .results import TUNING_SEED, Results
from .training import METRICS, NONE, Run

COLUMNS = {
    'ConvNeXt': ('convnext_fpn', 'convnext_fpn_scale_1e-6'),
    'one stage': ('cednet_m1', 'cednet_m1_scale_1e-6', 'cednet_wide_m1'),
    'three stages': ('cednet_m3', 'cednet_m3_scale_1e-6', 'cednet_wide_m3'),
}
PAIRS = (('one stage', 'ConvNeXt'), ('three stages', 'ConvNeXt'), ('three stages', 'one stage'))
HEADER = ('data', 'iterations', 'size', 'start', 'metric', *COLUMNS, *map(' - '.join, PAIRS))
CROPS = 'crops'  # of segmenters, which have no scale


def make_summary(results: Results) -> str:
    """Make a Markdown table: test scores and their differences, means and standard errors.

    A network has the variant, learning rate and weight decay that are the best on the validation
    images. A difference is followed by the number of seeds in which the first network is ahead.

    Args:
        results: Runs on a CPU, with each start from random or pre-trained weights.
    """
    lines = ['| ' + ' | '.join(HEADER) + ' |', '| --- ' * len(HEADER) + '|']
    for run in list_comparisons(results):
        groups = group_runs(results, run, pretrained=run.weights != NONE)
        columns = {name: choose_recipe(groups, models, run.weights) for name, models in COLUMNS.items()}
        scores = {
            name: get_scores(rows, METRICS[run.framework]) for name, rows in columns.items() if rows
        }
        if len(scores) > 1:
            size = 'x'.join(map(str, run.scale)) if run.scale else CROPS
            cells = [run.data, str(run.iters), size, run.weights, TITLES[run.framework]]
            cells += [
                format_mean(list(scores[name].values())) if name in scores else '' for name in COLUMNS
            ]
            cells += [format_difference(scores.get(a, {}), scores.get(b, {})) for a, b in PAIRS]
            lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines) + '\n'


def list_comparisons(results: Results) -> list[Run]:
    """A run of each data set, framework, length, size and start, by data set, framework and length."""
    found: dict[tuple[Any, ...], Run] = {}
    for row in results.rows:
        run = Run(**{key: row[key] for key in Run.__dataclass_fields__})
        if run.device == 'cpu' and run.seed != TUNING_SEED:
            found.setdefault((run.data, run.framework, run.iters, str(run.scale), run.weights), run)
    return sorted(found.values(), key=lambda run: (run.data.lower(), run.framework, run.iters))


def choose_recipe(groups: Groups, models: tuple[str, ...], weights: str) -> list[dict[str, Any]]:
    """The runs of the recipe that has the best mean on the validation images; none without runs."""
    candidates = [item for item in groups.items() if item[0][0] in models and item[0][1] == weights]
    return max(candidates, key=get_validation_score)[1] if candidates else []


def format_difference(scores: dict[int, float], others: dict[int, float]) -> str:
    """Mean and standard error of the differences of the same seeds, and how many are positive."""
    differences = [score - others[seed] for seed, score in scores.items() if seed in others]
    if not differences:
        return ''
    ahead = sum(difference > 0 for difference in differences)
    return f'{format_mean(differences, "{:+.1f}")} ({ahead} of {len(differences)})'
