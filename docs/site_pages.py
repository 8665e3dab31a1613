"""Hook of MkDocs: pages and files of the repository outside docs/ that the site needs."""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parents[1]
# File of the repository -> page of the site
PAGES = {
    'README.md': 'index.md',
    'configs/README.md': 'configs.md',
    'examples/README.md': 'examples.md',
    'mmcednet/checkpoints/weights/README.md': 'weights.md',
    'CONTRIBUTING.md': 'contributing.md',
    'CHANGELOG.md': 'changelog.md',
}
NOTEBOOK = 'first_steps'  # of docs/, which becomes a page with its outputs
LINK = re.compile(r'(?<=\]\()(?!https?://|#)([^)\s#]+)')


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages, and the files that pages link to, such as configs."""
    files.remove(files.get_file_from_path('site_pages.py'))
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding='utf-8')))
    for file in convert_notebook(files, config):
        files.append(file)
    for file in files.documentation_pages():
        for link in LINK.findall(file.content_string):
            path = resolve_link(file.src_uri, link)
            uri = get_site_uri(path)
            if (ROOT / path).is_file() and files.get_file_from_path(uri) is None:
                files.append(File.generated(config, uri, content=(ROOT / path).read_bytes()))
    return files


def convert_notebook(files: Files, config: MkDocsConfig) -> list[File]:
    """Replace the notebook by a page of Markdown, and the pictures in its outputs by files."""
    files.remove(files.get_file_from_path(f'{NOTEBOOK}.ipynb'))
    text, resources = MarkdownExporter().from_filename(ROOT / 'docs' / f'{NOTEBOOK}.ipynb')
    pictures = {f'{NOTEBOOK}/{name}': content for name, content in resources['outputs'].items()}
    for name in resources['outputs']:
        text = text.replace(f']({name})', f']({NOTEBOOK}/{name})')
    return [
        File.generated(config, f'{NOTEBOOK}.md', content=text),
        *(File.generated(config, uri, content=content) for uri, content in pictures.items()),
    ]


def on_page_markdown(markdown: str, page: Page, **others: object) -> str:
    """Change links from paths in the repository to paths in the site."""

    def change(match: re.Match[str]) -> str:
        uri = get_site_uri(resolve_link(page.file.src_uri, match[1]))
        return posixpath.relpath(uri, posixpath.dirname(page.file.src_uri) or '.')

    return LINK.sub(change, markdown)


def resolve_link(page: str, link: str) -> str:
    """Return the path in the repository of a link on a page of the site."""
    source = next((source for source, uri in PAGES.items() if uri == page), f'docs/{page}')
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), link))


def get_site_uri(path: str) -> str:
    """Return the place in the site of a file of the repository."""
    if path == f'docs/{NOTEBOOK}.ipynb':
        return f'{NOTEBOOK}.md'
    if path.startswith('docs/'):
        return path.removeprefix('docs/')
    return PAGES.get(path, f'source/{path}')
