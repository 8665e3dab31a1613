import pytest

from mmcednet.checks.coco_format import find_category_ids, read_coco


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


def test_ids_of_the_used_categories():
    content = dict(categories=[dict(id=7, name='cat'), dict(id=3, name='dog'), dict(id=5, name='cow')])
    assert find_category_ids(content, ('dog', 'cat', 'horse')) == {3, 7}
    assert find_category_ids(content) == {3, 5, 7}
