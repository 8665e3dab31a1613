"""The web demo: a page that predicts on an uploaded picture, in Gradio."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmcv
import numpy as np

from mmcednet.images import IMAGE_ERRORS, ImageError
from mmcednet.visualization.predictions import Style

from .inputs import read_image
from .outputs import is_drawable
from .predict import Predictor

os.environ.setdefault('GRADIO_ANALYTICS_ENABLED', 'False')  # before gradio is imported
os.environ.setdefault('GRADIO_RUN_HISTORY', 'False')
import gradio as gr

HEADERS = {
    'detector': ['class', 'score', 'box: x, y, width, height'],
    'segmenter': ['class', 'share of the picture'],
}
# The buttons are in the upper right corner, where the legend begins
CSS = '#drawn .image-frame { padding-top: 2.5rem; }'


@dataclass
class Prediction:
    """The last prediction of a visitor; the slider and the classes redraw it.

    Attributes:
        image: (H, W, 3), uint8, RGB.
        sample: The toolbox's sample.
    """

    image: np.ndarray
    sample: Any


class Demo:
    """The functions behind the page."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def predict(self, upload: dict | None) -> tuple[Prediction | None, str]:
        """Run the network.

        Args:
            upload: Gradio's description of the uploaded file, None if it was removed.

        Returns:
            The prediction, and a sentence with the time taken or the reason why there is none.
        """
        if upload is None:
            return None, ''
        try:
            image = read_image(upload['path'])
            if not is_drawable(image):
                raise ImageError('too large to be drawn')
            start = time.perf_counter()
            (sample,) = self.predictor.predict([upload['path']])
        except (ImageError, *IMAGE_ERRORS):
            name = upload.get('orig_name') or Path(upload['path']).name
            gr.Warning(f'{name} could not be read as an image.')
            return None, f'**{name} could not be read as an image.**'
        seconds = time.perf_counter() - start
        height, width = image.shape[:2]
        message = f'{width} x {height} pixels, predicted in {seconds:.2f} s'
        return Prediction(mmcv.bgr2rgb(image), sample), message

    def draw(
        self,
        prediction: Prediction | None,
        score: float,
        classes: list[int],
        parts: Sequence[str] = ('labels', 'legend'),
        line_width: int | None = None,
    ) -> tuple[np.ndarray | None, list[list]]:
        """Draw a prediction, and list it in rows for the table.

        Args:
            prediction: The last one.
            score: Lowest score.
            classes: Indices of the classes.
            parts: What to draw besides boxes, masks and areas: 'labels', 'legend'.
            line_width: Of boxes and outlines; -1 or None: by the size of the picture.
        """
        if prediction is None:
            return None, []
        sample = self.predictor.select(prediction.sample, score, classes)
        width = None if line_width == -1 else line_width
        style = Style('labels' in parts, 'legend' in parts, width)
        return self.predictor.draw(prediction.image, sample, style), self.list_rows(sample)

    def list_rows(self, sample: Any) -> list[list]:
        entries = self.predictor.describe(sample)
        if self.predictor.task == 'segmenter':
            return [[name, f'{share:.1%}'] for name, share in entries[0]['classes'].items()]
        return [
            [entry['category'], f'{entry["score"]:.2f}', ', '.join(f'{x:.0f}' for x in entry['bbox'])]
            for entry in entries
        ]


def build_app(
    predictor: Predictor, title: str, description: str, examples: Sequence[Path]
) -> gr.Blocks:
    """Build the page.

    Args:
        predictor: A detector or a segmenter.
        title: Heading of the page.
        description: Line below it.
        examples: Pictures to choose from.

    Raises:
        ValueError: The model is a classifier.
    """
    if predictor.task not in HEADERS:
        raise ValueError(f'the web demo shows detectors and segmenters; this is a {predictor.task}')
    demo = Demo(predictor)
    with gr.Blocks(analytics_enabled=False, title=title) as app:
        gr.Markdown(f'# {title}\n{description}')
        last = gr.State()
        with gr.Row():
            with gr.Column(scale=2):
                upload, *controls = add_controls(predictor, examples)
            with gr.Column(scale=3):
                drawn = gr.Image(
                    show_label=False,
                    elem_id='drawn',
                    format='png',
                    interactive=False,
                    height=480,
                    buttons=['download', 'fullscreen'],
                )
                message = gr.Markdown(elem_id='message')
                table = gr.Dataframe(
                    elem_id='table', headers=HEADERS[predictor.task], interactive=False
                )
        # One at a time: the inferencer and its visualizer have a state.
        shared: dict[str, Any] = dict(concurrency_id='model', concurrency_limit=1)
        shown = dict(inputs=[last, *controls], outputs=[drawn, table])
        # Gradio's own preprocessing answers a broken file with a traceback.
        predicted = upload.change(demo.predict, upload, [last, message], preprocess=False, **shared)
        predicted.then(demo.draw, **shown, **shared)
        for control in controls:
            control.change(
                demo.draw, **shown, **shared, trigger_mode='always_last', show_progress='hidden'
            )
    return app


def add_controls(
    predictor: Predictor, examples: Sequence[Path]
) -> tuple[gr.Image, gr.Slider, gr.CheckboxGroup, gr.CheckboxGroup, gr.Slider]:
    """Add the page's left column: the upload with its examples, and the arguments of ``Demo.draw``."""
    upload = gr.Image(
        label='picture',
        type='filepath',
        sources=['upload', 'clipboard'],
        height=320,
        elem_id='upload',
    )
    if examples:
        gr.Examples([str(path) for path in examples], upload, label='examples')
    visible = predictor.task == 'detector'
    score = gr.Slider(0, 1, 0.3, step=0.01, label='lowest score', elem_id='score', visible=visible)
    ids = list(range(len(predictor.classes or ())))
    choices = [(predictor.get_class_name(i), i) for i in ids]
    with gr.Accordion('classes', open=len(ids) <= 20):
        classes = gr.CheckboxGroup(choices, value=ids, label='all', show_select_all=True)
    with gr.Accordion('drawing', open=False):
        parts = gr.CheckboxGroup(['labels', 'legend'], value=['labels', 'legend'], show_label=False)
        line_width = gr.Slider(-1, 10, -1, step=1, label='line width (-1: by the size, 0: none)')
    return upload, score, classes, parts, line_width


def serve(app: gr.Blocks, host: str, port: int) -> None:
    """Serve the page until the process is interrupted; prints its address.

    Raises:
        ValueError: The port cannot be used.
    """
    theme = gr.themes.Soft(font=['system-ui', 'sans-serif'], font_mono=['ui-monospace', 'monospace'])
    try:
        app.launch(
            server_name=host,
            server_port=port,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            theme=theme,
            css=CSS,
            footer_links=[],
        )
    except (OSError, OverflowError) as error:  # the latter: above 65535
        raise ValueError(f'port {port} of {host} cannot be used: {error}') from None
    print(f'web demo: http://{host}:{port} (Ctrl-C ends it)', flush=True)
    app.block_thread()
