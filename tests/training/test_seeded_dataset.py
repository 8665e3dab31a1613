import copy
import pickle

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement

from mmcednet.images import ImageError
from mmcednet.training import SeededDataset
from mmcednet.training.seeded_dataset import EPOCH_STRIDE


class Images:
    """Loads images as mmcv does, and draws a number."""

    metainfo = dict(classes=('disc',))
    pipeline = 'first'

    def __init__(self, folder, number=5):
        self.paths = [folder / f'{index}.png' for index in range(number)]
        for path in self.paths:
            cv2.imwrite(str(path), np.full((4, 4, 3), 9, np.uint8))

    def __len__(self):
        return len(self.paths)

    def get_data_info(self, index):
        return dict(img_path=str(self.paths[index]))

    def __getitem__(self, index):
        path = self.paths[index]
        img = cv2.imread(str(path))
        assert img is not None, f'failed to load image: {path}'
        drawn = (np.random.rand(), torch.rand(()).item())
        return dict(inputs=img, data_samples=BaseDataElement(metainfo=dict(index=index, drawn=drawn)))


@pytest.fixture
def images(tmp_path):
    return Images(tmp_path)


def read(sample):
    return sample['data_samples'].index, sample['data_samples'].drawn


def test_draws_depend_on_seed_epoch_and_index(images):
    ours = SeededDataset(images, seed=3)
    first = [read(ours[index]) for index in range(5)]
    assert [read(ours[index]) for index in (3, 1)] == [first[3], first[1]]
    others = [
        read(SeededDataset(images, seed=4)[1]),
        read(ours[EPOCH_STRIDE + 1]),
        read(ours[2 * EPOCH_STRIDE + 1]),
    ]
    assert [index for index, _ in others] == [1, 1, 1]
    assert len({drawn for _, drawn in [*first, *others]}) == 8


def test_has_the_attributes_of_the_dataset(images):
    ours = SeededDataset(images)
    assert ours.metainfo == Images.metainfo
    ours.pipeline = 'second'
    assert images.pipeline == ours.pipeline == 'second'
    with pytest.raises(AttributeError):
        ours.missing  # noqa: B018
    assert len(copy.deepcopy(ours)) == len(pickle.loads(pickle.dumps(ours))) == 5


def test_replaces_an_image_that_cannot_be_decoded(images):
    ours = SeededDataset(images)
    whole = [read(ours[index]) for index in range(5)]
    images.paths[2].write_bytes(images.paths[2].read_bytes()[:20])
    sample = ours[2]
    assert sample['data_samples'].unusable == [str(images.paths[2])]
    index, drawn = read(sample)
    assert index != 2
    assert read(ours[2]) == (index, drawn)  # the same one each time
    assert [read(ours[i]) for i in (0, 1, 3, 4)] == [whole[i] for i in (0, 1, 3, 4)]
    assert read(ours[EPOCH_STRIDE + 2])[1] != drawn


def test_other_errors_are_not_hidden(images, monkeypatch):
    def fail(self, index):
        raise IndexError('a mistake in the pipeline')

    monkeypatch.setattr(Images, '__getitem__', fail)
    with pytest.raises(IndexError, match='a mistake in the pipeline'):
        SeededDataset(images)[0]


def test_many_images_that_cannot_be_decoded(images):
    for path in images.paths:
        path.unlink()
    with pytest.raises(
        ImageError, match=r'20 images in a row cannot be used; the last one: .*png is not an image'
    ):
        SeededDataset(images)[0]


def test_label_map_that_cannot_be_decoded(images, tmp_path, monkeypatch):
    labels = tmp_path / 'labels.png'
    labels.write_bytes(b'no image')
    load = Images.__getitem__

    def load_labels(self, index):
        if index == 0:
            raise AttributeError("'NoneType' object has no attribute 'squeeze'")
        return load(self, index)

    monkeypatch.setattr(Images, '__getitem__', load_labels)
    monkeypatch.setattr(
        Images,
        'get_data_info',
        lambda self, index: dict(img_path=str(self.paths[index]), seg_map_path=str(labels)),
    )
    assert SeededDataset(images)[0]['data_samples'].unusable == [str(labels)]
