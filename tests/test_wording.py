"""Words of messages."""

from mmcednet.wording import count


def test_one_is_singular():
    assert [count(number, 'image') for number in range(3)] == ['0 images', '1 image', '2 images']
