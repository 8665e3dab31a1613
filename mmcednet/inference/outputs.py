"""Output files of predictions: drawn pictures and videos, label maps, one JSON."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
from rich.progress import Progress

from mmcednet.files import atomic_folder, check_new_folder
from mmcednet.images import IMAGE_ERRORS
from mmcednet.visualization.predictions import DEFAULT, Style

from .annotation_ids import AnnotationIds
from .inputs import Frame, Problems, Source, count_frames, iter_batches, iter_frames, warn
from .predict import Predictor, Segmenter
from .tiles import check_tiles, predict_tiles

MAX_SIDE = 63_000  # px; OpenCV's JPEG encoder takes 65,500, with the legend


def is_drawable(image: np.ndarray) -> bool:
    """Whether a picture (H, W, 3) can be saved as JPEG."""
    return max(image.shape[:2]) <= MAX_SIDE


class ResultWriter:
    """Writes predictions into a folder: ``drawn/``, for segmenters ``label_maps/``, and a JSON."""

    def __init__(
        self, folder: Path, predictor: Predictor, ids: AnnotationIds | None, style: Style | None
    ) -> None:
        self.folder = folder
        self.predictor = predictor
        self.ids = ids
        self.style = style
        self.entries: list[dict] = []
        self.number = 0
        self.full: list[str] = []  # images with as many predictions as the limit allows
        self.video: tuple[Source, cv2.VideoWriter] | None = None

    def write(self, frame: Frame, sample: Any) -> None:
        """Write the prediction of a frame; the frames of a video must come in order."""
        self.number += 1
        file_name = frame.source.file_name
        image_id = self.ids.images[file_name] if self.ids else self.number
        head: dict[str, Any] = dict(image_id=image_id, file_name=file_name)
        if frame.index is not None:
            head['frame'] = frame.index
        if isinstance(self.predictor, Segmenter):
            head['label_map'] = self.write_label_map(frame, self.predictor.get_label_map(sample))
        for entry in self.predictor.describe(sample):
            if self.ids and 'category_id' in entry:
                entry['category_id'] = self.ids.categories[entry['category']]
            self.entries.append(head | entry)
        if self.style is None:
            return
        if not is_drawable(frame.image):
            height, width = frame.image.shape[:2]
            warn(f'{frame.source.file_name} is not drawn: it has {width}x{height} px')
            return
        drawn = self.predictor.draw(mmcv.bgr2rgb(frame.image), sample, self.style)
        self.write_drawn(frame, mmcv.rgb2bgr(drawn))

    def write_label_map(self, frame: Frame, label_map: np.ndarray) -> str:
        name = frame.source.name
        if frame.index is not None:
            name += f'/{frame.index:06d}'
        path = f'label_maps/{name}.png'
        wide = len(self.predictor.classes or ()) > 256
        mmcv.imwrite(label_map.astype(np.uint16 if wide else np.uint8), str(self.folder / path))
        return path

    def write_drawn(self, frame: Frame, drawn: np.ndarray) -> None:
        path = self.folder / 'drawn' / frame.source.name
        if self.video and self.video[0] is not frame.source:
            self.finish_video()
        if frame.index is None:
            mmcv.imwrite(drawn, f'{path}.jpg')
            return
        if self.video is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            fps = frame.fps or 25.0
            size = (drawn.shape[1], drawn.shape[0])
            codec = cv2.VideoWriter.fourcc(*'mp4v')
            self.video = frame.source, cv2.VideoWriter(f'{path}.mp4', codec, fps, size)
            if not self.video[1].isOpened():
                raise ValueError(f'{frame.source.name}.mp4 cannot be written by this OpenCV')
        self.video[1].write(drawn)

    def finish_video(self) -> None:
        if self.video:
            self.video[1].release()
        self.video = None

    def finish(self) -> None:
        """Write ``predictions.json``; warn if the limit of predictions was reached."""
        self.finish_video()
        if self.full and self.predictor.limit:
            setting, limit = self.predictor.limit
            warn(
                f'{len(self.full)} of {self.number} images have {limit} detections, as many as '
                f'{setting} allows, so that others may be missing; the first is {self.full[0]}'
            )
        (self.folder / 'predictions.json').write_text(json.dumps(self.entries), encoding='utf-8')


def check_out(out: Path, inputs: list[str]) -> None:
    """Check the output folder before the model is loaded.

    Raises:
        ValueError: It exists already, or lies in an input folder, which would read it the next time.
    """
    check_new_folder(out)
    for name in inputs:
        if Path(name).is_dir() and out.resolve().is_relative_to(Path(name).resolve()):
            raise ValueError(f'{out} lies in the input folder {name}; choose one outside of it')


def predict(
    compute: Callable[[list[Frame]], list[Any]], frames: list[Frame], problems: Problems
) -> list[tuple[Frame, Any]]:
    """Predict on a batch; images that the pipeline cannot read or resize are skipped."""
    try:
        return list(zip(frames, compute(frames)))
    except IMAGE_ERRORS as error:
        if len(frames) == 1:
            problems.skip(frames[0].source, f'it cannot be read or resized: {error}')
            return []
    return [pair for frame in frames for pair in predict(compute, [frame], problems)]


def write_predictions(
    predictor: Predictor,
    sources: list[Source],
    out: Path,
    score: float,
    batch: int,
    ids: AnnotationIds | None = None,
    style: Style | None = DEFAULT,
    tile: int | None = None,
) -> str:
    """Predict on images and videos and write all results; shows a progress bar.

    Args:
        predictor: The model.
        sources: Images and videos.
        out: Folder to write, which appears only when all is done.
        score: Lowest score of a detection that is drawn and written.
        batch: Number of images that the network computes at once; consecutive images of one size.
        ids: Ids of the images and classes. Default: images are numbered from 1, and classes have the
            ids that the checkpoint has, or are numbered from 1, too.
        style: What to draw; None: nothing.
        tile: Side of the tiles on which images are predicted, in pixels; None: on the whole images.

    Returns:
        A sentence that names files that could not be read; empty if there are none.

    Raises:
        ValueError: ``out`` exists already, none of the files can be read, or ``tile`` is not possible.
    """

    def compute(frames: list[Frame]) -> list[Any]:
        if tile is None:
            return predictor.predict([frame.input for frame in frames])
        return [predict_tiles(predictor, frame.image, tile, None, score, batch) for frame in frames]

    if tile is not None:
        check_tiles(predictor, tile, None)
    problems = Problems()
    with atomic_folder(out) as folder, Progress() as progress:
        writer = ResultWriter(folder, predictor, ids, style)
        task = progress.add_task('predicting', total=count_frames(sources))
        for frames in iter_batches(iter_frames(sources, problems), batch):
            for frame, sample in predict(compute, frames, problems):
                selected = predictor.select(sample, score)
                if tile is None and predictor.reaches_limit(selected):  # it is a tile's, too
                    writer.full.append(frame.source.file_name)
                writer.write(frame, selected)
            progress.advance(task, len(frames))
        progress.update(task, total=writer.number, completed=writer.number)
        if not writer.number:
            raise ValueError(problems.describe(len(sources)))
        writer.finish()
    return problems.describe(len(sources))
