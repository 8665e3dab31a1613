"""The documentation site builds without warnings, and its links lead somewhere."""

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip('mkdocs')
pytest.importorskip('nbconvert')


class LinkParser(HTMLParser):
    """Collects the addresses of links and pictures, and the ids, of a page."""

    def __init__(self):
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.ids.add(values.get('id') or '')
        self.links += [values[key] for key in ('href', 'src') if values.get(key)]


def parse(page: Path) -> LinkParser:
    parser = LinkParser()
    parser.feed(page.read_text(encoding='utf-8'))
    return parser


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    root = Path(__file__).resolve().parents[1]
    folder = tmp_path_factory.mktemp('site')
    command = [sys.executable, '-m', 'mkdocs', 'build', '--strict', '--site-dir', str(folder)]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return folder


def test_links_lead_to_pages_files_and_anchors(site):
    pages = {page: parse(page) for page in site.rglob('*.html')}
    checked = 0
    for page, parsed in pages.items():
        for link in parsed.links:
            parts = urlsplit(link)
            if parts.scheme or link.startswith('/'):  # other servers; 404.html has absolute links
                continue
            target = (page.parent / parts.path).resolve() if parts.path else page
            target = target / 'index.html' if target.is_dir() else target
            assert target.is_file(), f'{page.relative_to(site)}: {link}'
            if parts.fragment and target in pages:
                assert parts.fragment in pages[target].ids, f'{page.relative_to(site)}: {link}'
            checked += 1
    assert checked > 500


def test_the_notebook_is_a_page_with_its_pictures(site):
    page = parse(site / 'first_steps' / 'index.html')
    assert len([link for link in page.links if link.startswith('output_')]) == 3
    links = parse(site / 'index.html').links
    assert 'first_steps/' in links and not any(link.endswith('.ipynb') for link in links)


def test_pages_and_files_outside_docs_are_included(site):
    assert 'mmcednet.models.CEDNet' in (site / 'api' / 'index.html').read_text()
    root = Path(__file__).resolve().parents[1]
    config = 'configs/retinanet/cednet_t.py'
    assert (site / 'source' / config).read_bytes() == (root / config).read_bytes()
    configs = (site / 'configs' / 'index.html').read_text()
    assert f'href="../source/{config}"' in configs
