"""tools/analysis/draw_network.py draws what was built; docs/images/network.png is the default one."""

import json
import runpy
from itertools import combinations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image

from mmcednet.models import CEDNet

STYLES = ('fpn', 'unet', 'hourglass')
UNEVEN = dict(channels=(8, 16, 24, 40), blocks=(1, (2, 3, 1), (4, 2, 2)))


@pytest.fixture
def tool(root):
    return runpy.run_path(str(root / 'tools' / 'analysis' / 'draw_network.py'))


def read_texts(figure) -> dict[str, str]:
    """The texts of the parts of the network, by their name."""
    return {text.get_gid(): text.get_text() for text in figure.findobj(Text) if text.get_gid()}


def list_groups(model: CEDNet) -> dict[str, int]:
    """The number of blocks of each group that has some."""
    groups = {'stem.blocks': model.stem.blocks}
    for index, stage in enumerate(model.stages):
        for part in ('encoder', 'decoder'):
            for name, group in getattr(stage, part).named_children():
                if name.startswith(('level', 'lateral')):
                    groups[f'stages.{index}.{part}.{name}'] = group
    return {name: len(group) for name, group in groups.items() if list(group.children())}


@pytest.mark.parametrize('final_decoder', [True, False])
@pytest.mark.parametrize('levels', [None, (2, 3, 4, 5, 6), (3, 4, 5, 6, 7)])
@pytest.mark.parametrize('style', STYLES)
def test_every_group_of_blocks_is_drawn(tool, style, levels, final_decoder):
    pyramid = levels and dict(levels=levels, channels=12)
    model = CEDNet(UNEVEN, style=style, pyramid=pyramid, final_decoder=final_decoder)
    figure = tool['draw_network'](tool['describe'](model))
    texts = read_texts(figure)
    drawn = {name: text for name, text in texts.items() if text.endswith(('block', 'blocks'))}
    numbers = list_groups(model)
    assert drawn == {name: f'{n} block' + 's' * (n > 1) for name, n in numbers.items()}
    channels = [texts[f'channels {stride}'] for stride in (4, 8, 16, 32)]
    assert channels == ['8 channels', '16 channels', '24 channels', '40 channels']
    letter = 'P' if pyramid else 'c'
    outs = {
        stride: f'{letter}{level}' for level, stride in zip(levels or (2, 3, 4, 5), model.out_strides)
    }
    assert {name: text for name, text in texts.items() if name.startswith('out ')} == {
        f'out {stride}': name for stride, name in outs.items()
    }
    assert texts['outputs'] == ('12 channels' if pyramid else 'raw levels')


@pytest.mark.parametrize('arch', [UNEVEN, dict(channels=(8, 16, 24, 40), blocks=(0, 1, 2, 1))])
@pytest.mark.parametrize('style', STYLES)
@pytest.mark.parametrize('levels', [None, (2, 3, 4, 5, 6)])
def test_texts_do_not_overlap(tool, arch, style, levels):
    model = CEDNet(arch, style=style, pyramid=levels and dict(levels=levels))
    figure = tool['draw_network'](tool['describe'](model))
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in figure.findobj(Text)]
    boxes = [(text, box) for text, box in boxes if text]
    for (text, box), (other, other_box) in combinations(boxes, 2):
        assert not box.overlaps(other_box), (text, other)
    for text, box in boxes:
        assert figure.bbox.containsx(box.x0) and figure.bbox.containsx(box.x1), text
        assert figure.bbox.containsy(box.y0) and figure.bbox.containsy(box.y1), text


@pytest.mark.parametrize(
    ('mixer', 'long_range'), [('dwconv', True), ('conv', True), ('window', True), ('dwconv', False)]
)
def test_long_range_blocks(tool, mixer, long_range):
    arch = dict(channels=(32, 64, 64, 64), blocks=(1, 1, 1, 1))
    layout = tool['describe'](CEDNet(arch, mixer=mixer, long_range=long_range))
    assert [stage.long_range for stage in layout.stages] == [long_range]


def test_committed_picture_is_the_default_network(tool, root, tmp_path, capsys):
    """If this fails: run tools/analysis/draw_network.py."""
    out = tmp_path / 'network.png'
    assert tool['main'](['--out', str(out)]) == 0
    assert capsys.readouterr().out == f'{out}\n'
    drawn, committed = (
        Image.open(path).text['Description'] for path in (out, root / 'docs/images/network.png')
    )
    assert json.loads(committed) == json.loads(drawn)


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['--levels', '1', '2'], 'error: pyramid levels (1, 2) must be consecutive'),
        (['--style', 'pan'], "error: style 'pan' is unknown; choose one of: fpn"),
    ],
)
def test_impossible_network(tool, tmp_path, args, message):
    with pytest.raises(SystemExit) as error:
        tool['main']([*args, '--out', str(tmp_path / 'a.png')])
    assert str(error.value).startswith(message)
    assert not list(tmp_path.iterdir())
