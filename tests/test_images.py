"""Images are found by their suffixes."""

from mmcednet.images import list_images


def test_images_are_listed_in_order_with_or_without_the_folders_below(tmp_path):
    for name in ('b.jpg', 'a.TIFF', '.c.png', '.jpg', 'notes.txt', 'below/d.webp', 'elsewhere/e.png'):
        path = tmp_path / 'images' / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.touch()
    (tmp_path / 'images' / 'elsewhere').rename(tmp_path / 'elsewhere')
    (tmp_path / 'images' / 'link').symlink_to(tmp_path / 'elsewhere')
    found = list_images(tmp_path / 'images')
    assert [path.name for path in found] == ['.c.png', 'a.TIFF', 'b.jpg']
    assert list_images(tmp_path / 'images', deep=True) == [*found, tmp_path / 'images/below/d.webp']
    assert [path.name for path in list_images(tmp_path / 'images' / 'link')] == ['e.png']
    assert [path.name for path in list_images(tmp_path / 'images' / 'link', deep=True)] == ['e.png']


def test_a_folder_that_does_not_exist_has_no_images(tmp_path):
    assert list_images(tmp_path / 'nowhere') == list_images(tmp_path / 'nowhere', deep=True) == []
