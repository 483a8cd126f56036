"""Data sets that are refused in tests."""

import pytest

from gan_kd_ssd.data.formats.catalog import open_dataset
from gan_kd_ssd.util.errors import UserError


def refused(match, dataset, split="train", **options):
    """The message of the UserError; it must be one line."""
    with pytest.raises(UserError, match=match) as caught:
        data = open_dataset(str(dataset), split, **options)
        for i in range(len(data)):
            data.image(i)
    assert "\n" not in str(caught.value)
    return str(caught.value)
