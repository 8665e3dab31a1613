"""What a published checkpoint of a network contains."""

from dataclasses import dataclass, field

from ..templates import Templates

PATTERNS = dict(
    i=r'\d+',
    j=r'\d+',
    k=r'\d+',
    param='weight|bias',
    norm='weight|bias|running_mean|running_var|num_batches_tracked',
)


@dataclass(frozen=True)
class Names:
    """Templates of the published keys of a network.

    Args:
        backbone: Of the backbone, to ours.
        neck: Of the neck, if it is one of ours.
        flattened: Our keys of one-dimensional parameters that are published with more dimensions.
        dropped: Keys that our models lack: the classifier's head, constants computed from sizes.
        patterns: Regular expression of each field. Default: indices i, j and k, ``param`` and ``norm``.
    """

    backbone: Templates
    neck: Templates = field(default_factory=dict)
    flattened: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    patterns: dict[str, str] = field(default_factory=lambda: dict(PATTERNS))
