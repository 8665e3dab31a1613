"""The export of a model, from its predictor to the checked file."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from mmcednet.files import atomic_write
from mmcednet.inference.inputs import read_image
from mmcednet.inference.predict import Predictor

from .check import Difference, compare
from .onnx_file import add_metadata, build_graph, describe, trace


def export(predictor: Predictor, out: Path, color: str = 'bgr', pictures: Sequence[str] = ()) -> None:
    """Write a model as an ONNX file and check it; what is done is printed, as it takes minutes.

    Args:
        predictor: The model, on the CPU.
        out: File to write, which appears only after the check.
        color: Channels of the images that the file takes, 'bgr' or 'rgb'. Default: 'bgr'.
        pictures: Image files, each of which is run through torch and onnxruntime in three sizes.

    Raises:
        ValueError: A picture cannot be read; the model is not supported; the predictions differ.
    """
    images = [read_image(picture) for picture in pictures]
    graph = build_graph(predictor.inferencer.model, color)
    metadata = describe(graph, predictor, color)
    print('translating the network, which takes one to several minutes', flush=True)
    program = trace(graph)
    add_metadata(program, metadata)
    with atomic_write(out) as temporary:
        program.save(temporary, external_data=False)
        if images:
            print(f'comparing with torch: {len(images)} pictures in three sizes', flush=True)
            difference = compare(temporary, predictor, metadata, images)
            ours, theirs = (1000 * median(seconds) for seconds in zip(*difference.seconds))
            found = summarize(difference, graph.outputs)
            print(
                f'largest differences: {found} ({difference.compared} compared); median time of a '
                f'picture: torch {ours:.0f} ms, onnxruntime {theirs:.0f} ms'
            )
            if not difference.is_small:
                raise ValueError(
                    f'{out} is not written: onnxruntime and torch differ: {found}, '
                    f'{difference.unmatched} detections of only one of them; please report this with '
                    'the config'
                )
    print(f'{out}: {out.stat().st_size / 2**20:.1f} MiB')


def summarize(difference: Difference, outputs: Sequence[str]) -> str:
    """The differences of those outputs of a file that are compared."""
    values = dict(
        boxes=f'{difference.boxes:.1g} px',
        scores=f'{difference.scores:.1g}',
        logits=f'{difference.scores:.1g}',
        masks=f'{difference.masks:.1%} of their pixels',
    )
    return ', '.join(f'{name} {value}' for name, value in values.items() if name in outputs)
