"""Loading of checkpoints, with errors of one sentence."""

from pickle import UnpicklingError

from mmengine.runner import CheckpointLoader

from .safe_loading import RefusedError

# What torch.load raises for a file that is damaged or is no checkpoint
LOAD_ERRORS = (
    OSError,
    RuntimeError,
    UnpicklingError,
    EOFError,
    ValueError,
    LookupError,
    AttributeError,
    ImportError,
)


def load_checkpoint(checkpoint: str) -> dict:
    """Load a checkpoint to the CPU.

    Args:
        checkpoint: File, or another address that mmengine's loader accepts.

    Raises:
        ValueError: The file is not a checkpoint, or could run code.
        FileNotFoundError: The file does not exist.
    """
    try:
        loaded = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    except (RefusedError, FileNotFoundError):
        raise
    except LOAD_ERRORS as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f'{checkpoint} cannot be read as a checkpoint: {reason}') from None
    if not isinstance(loaded, dict):
        raise ValueError(f'{checkpoint} is not a checkpoint: it contains a {type(loaded).__name__}')
    return loaded


def get_category_ids(loaded: dict) -> tuple[int | str, ...] | None:
    """The ids that its classes had in the annotation file; None if the checkpoint does not say."""
    metainfo = (loaded.get('meta') or {}).get('dataset_meta') or {}
    ids = metainfo.get('category_ids') or ()
    return tuple(ids) if ids and len(ids) == len(get_classes(loaded) or ()) else None


def get_classes(loaded: dict) -> tuple[str, ...] | None:
    """The classes that a loaded checkpoint was trained on; None if it does not say."""
    metainfo = (loaded.get('meta') or {}).get('dataset_meta') or {}
    classes = metainfo.get('classes')
    return tuple(classes) if classes else None
