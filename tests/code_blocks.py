"""The code blocks of a Markdown page, for the tests that run them."""

import re
from pathlib import Path

BLOCK = re.compile(r'^```(\w+)\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def read_code_blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding='utf-8')
    return [code for found, code in BLOCK.findall(text) if found == language]
