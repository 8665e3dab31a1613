import pytest

from mmcednet.checks.coco_format import read_coco


@pytest.mark.parametrize(
    ('text', 'message'),
    [('{', 'is not valid JSON'), ('[]', 'has no images or no categories')],
)
def test_other_files_are_reported(tmp_path, text, message):
    (tmp_path / 'a.json').write_text(text)
    with pytest.raises(ValueError, match=f'a.json {message}'):
        read_coco(tmp_path / 'a.json')
    with pytest.raises(ValueError, match=r'b\.json does not exist'):
        read_coco(tmp_path / 'b.json')
