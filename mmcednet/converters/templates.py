"""Renames the keys of checkpoints by templates.

A template maps a published key to ours. Its fields, in braces, stand for what varies between keys; each
has a pattern, a regular expression.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

Templates = dict[str, str]  # published -> ours

# Patterns: the tensors of a layer or a LayerNorm, and those of a BatchNorm
PARAM = 'weight|bias'
BATCH_NORM = f'{PARAM}|running_mean|running_var|num_batches_tracked'


class Rule(NamedTuple):
    """A template: a pattern of published keys, and our key."""

    pattern: re.Pattern[str]
    ours: str


def compile_templates(templates: Mapping[str, str], patterns: Mapping[str, str]) -> list[Rule]:
    """Compile templates.

    Args:
        templates: Published keys to ours, with the same fields.
        patterns: Regular expression of each field.
    """
    groups = {name: f'(?P<{name}>{pattern})' for name, pattern in patterns.items()}
    return [
        Rule(re.compile(published.replace('.', r'\.').format(**groups)), ours)
        for published, ours in templates.items()
    ]


def match_key(key: str, rules: list[Rule]) -> tuple[str, dict[str, str]] | None:
    """Our template of a published key and the values of its fields; None if no rule matches."""
    for pattern, ours in rules:
        if match := pattern.fullmatch(key):
            return ours, match.groupdict()
    return None
