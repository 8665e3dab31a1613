"""Words of messages."""

from mmcednet.wording import count, join_words, list_first


def test_one_is_singular():
    assert [count(number, 'image') for number in range(3)] == ['0 images', '1 image', '2 images']


def test_words_are_joined():
    lists = ([], ['a'], ['a', 'b'], ['a', 'b', 'c'])
    assert list(map(join_words, lists)) == ['', 'a', 'a and b', 'a, b and c']


def test_the_first_of_many_are_listed():
    assert [list_first(range(number), 2) for number in range(4)] == ['', '0', '0, 1', '0, 1, ...']
