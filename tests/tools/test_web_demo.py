"""tools/web_demo.py: a real process, and a visitor in headless Chromium."""

import io
import shutil
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image
from small_models import save_random_model

BROWSER = shutil.which('chromium') or shutil.which('google-chrome') or shutil.which('chromium-browser')
CELLS = '#table [role=gridcell]'


def need_browser():
    for package in ('gradio', 'playwright'):
        if find_spec(package) is None:
            pytest.skip(f'{package} is not installed')
    if BROWSER is None:
        pytest.skip('there is no Chromium')


@pytest.mark.skipif(find_spec('gradio') is not None, reason='gradio is installed')
def test_missing_gradio(get_error):
    message = get_error('web_demo.py', 'config.py', 'x.pth')
    assert message == "error: the web demo needs gradio: pip install 'mmcednet[web]'"


@pytest.mark.skipif(find_spec('gradio') is None, reason='gradio is not installed')
def test_errors(get_error, root, tmp_path):
    assert get_error('web_demo.py', 'absent.py', 'x.pth') == 'error: config absent.py does not exist'
    config = root / 'configs' / 'imagenet' / 'cednet_nano_shapes.py'
    message = get_error('web_demo.py', config, 'x.pth', '--examples', tmp_path)
    assert message == f'error: the folder of examples {tmp_path} has no images'


@pytest.fixture
def serve(root, tmp_path, free_port):
    """Start the demo with a framework's nano model of random weights; return the page's address."""
    processes = []

    def start(framework, *args, settings=''):
        config = tmp_path / 'config.py'
        nano = root / 'configs' / framework / 'cednet_nano_shapes.py'
        config.write_text(f'_base_ = {str(nano)!r}\n{settings}')
        path = save_random_model(config, tmp_path / 'a.pth')
        command = [sys.executable, root / 'tools' / 'web_demo.py', config, path, '--device', 'cpu']
        command += ['--port', str(free_port), *args]
        process = subprocess.Popen(
            [*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        processes.append(process)
        output = ''
        for line in process.stdout:
            output += line
            if line.startswith('web demo: '):
                return line.split()[2]
        raise AssertionError(output)

    yield start
    for process in processes:
        process.terminate()
        process.wait(30)


@pytest.fixture
def page():
    need_browser()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=['--no-sandbox'])
        page = browser.new_page(viewport=dict(width=1280, height=1000))
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def wait_for(page, expression):
    page.wait_for_function(expression, timeout=60_000)


def load_picture(page):
    """The address of the prediction's picture, and the picture (H, W, 3)."""
    address = page.locator('#drawn img').get_attribute('src')
    image = Image.open(io.BytesIO(page.request.get(address).body()))
    return address, np.asarray(image.convert('RGB')).astype(int)


# Number of rows in the table; an empty table has a row of empty cells.
FIRST = f"""[...document.querySelectorAll('{CELLS}[aria-colindex="1"]')]"""
COUNT = f'{FIRST}.filter(cell => cell.innerText.trim()).length'


@pytest.mark.slow
def test_detector(serve, page, shapes, tmp_path):
    picture = shapes / 'val' / '00000.png'
    settings = 'model = dict(test_cfg=dict(score_thr=0.0, max_per_img=5))\n'
    address = serve('retinanet', '--examples', str(shapes / 'train'), settings=settings)
    requests = []
    page.on('request', lambda request: requests.append(request.url))
    page.goto(address)
    upload = page.locator('#upload input[type=file]')
    upload.set_input_files(picture)
    wait_for(page, "document.querySelector('#message').innerText.includes('predicted in')")
    message = page.locator('#message').inner_text()
    assert message.startswith('64 x 64 pixels, predicted in ')

    wait_for(page, "document.querySelector('#drawn img')")
    shown, _ = load_picture(page)  # without boxes: random weights have low scores
    score = page.locator('#score input[type=number]')
    score.fill('0')
    score.press('Enter')
    wait_for(page, f'{COUNT} === 5')
    image = np.asarray(Image.open(picture).convert('RGB')).astype(int)
    wait_for(page, f"document.querySelector('#drawn img').src !== '{shown}'")
    shown, drawn = load_picture(page)
    assert np.abs(drawn[:, :64] - image).max() > 100
    assert drawn.shape[1] > 64  # the legend

    slider = page.locator('#score input[type=range]')
    slider.focus()
    slider.press('End')  # a score of 1
    wait_for(page, f'{COUNT} === 0')
    wait_for(page, f"document.querySelector('#drawn img').src !== '{shown}'")
    np.testing.assert_array_equal(load_picture(page)[1][:, :64], image)

    broken = tmp_path / 'broken.png'
    broken.write_text('not an image')
    page.get_by_label('Remove Image').click()
    wait_for(page, "document.querySelector('#message').innerText.trim() === ''")
    upload.set_input_files(broken)
    sentence = 'broken.png could not be read as an image.'
    wait_for(page, f"document.querySelector('#message').innerText.includes('{sentence}')")
    wait_for(page, "document.querySelector('#drawn img') === null")
    assert 'Traceback' not in page.content()
    outside = [url for url in requests if not url.startswith((address, 'data:', 'blob:'))]
    assert not outside


@pytest.mark.slow
def test_segmenter_and_example(serve, page, shapes):
    address = serve('upernet', '--examples', str(shapes / 'val'))
    page.goto(address)
    page.locator('.gallery-item, .gallery button').first.click()
    wait_for(page, "document.querySelector('#message').innerText.includes('predicted in')")
    wait_for(page, f'{COUNT} > 0')
    assert page.locator('#score').count() == 0
    shares = page.locator(f'{CELLS}[aria-colindex="2"]').all_inner_texts()
    assert sum(float(share.strip().rstrip('%')) for share in shares) == pytest.approx(100, abs=1)
