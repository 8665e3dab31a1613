"""What a published checkpoint of a network contains."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from ..templates import BATCH_NORM, PARAM, Templates

PATTERNS = dict(
    i=r'\d+',
    j=r'\d+',
    k=r'\d+',
    param=PARAM,
    norm=BATCH_NORM,
)


@dataclass(frozen=True)
class Names:
    """Templates of the published keys of a network.

    Args:
        backbone: Templates of the backbone's keys, to ours.
        neck: Templates of the neck's keys, if it is one of ours.
        dropped: Keys that our models lack: the classifier's head, constants computed from sizes.
        patterns: Regular expression of each field. Default: indices i, j and k, ``param`` and ``norm``.
        adapt: Changes the tensors of the backbone, under our keys without prefix, where our layers
            differ from the published ones. Default: nothing changes.
        adapt_head: Changes the tensors of a detector that keep their keys. Default: nothing changes.
    """

    backbone: Templates
    neck: Templates = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    patterns: dict[str, str] = field(default_factory=lambda: dict(PATTERNS))
    adapt: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict
    adapt_head: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict
