"""Devices that are found or asked for."""

import pytest

from gan_kd_ssd.engine import devices
from gan_kd_ssd.util.errors import UserError


def test_devices_left_out_are_at_most_two_gpus_else_the_cpu(monkeypatch):
    for found, names in (
        (0, ["cpu(0)"]),
        (1, ["gpu(0)"]),
        (2, ["gpu(0)", "gpu(1)"]),
        (8, ["gpu(0)", "gpu(1)"]),
    ):
        monkeypatch.setattr(devices, "gpu_count", lambda found=found: found)
        ctx, line = devices.pick(None)
        assert [str(c) for c in ctx] == names
        assert ("GPU" in line.split()) == bool(found) or "no GPU" in line


def test_devices_that_are_asked_for(monkeypatch):
    monkeypatch.setattr(devices, "gpu_count", lambda: 3)
    assert [str(c) for c in devices.pick("2, 0")[0]] == ["gpu(2)", "gpu(0)"]
    assert [str(c) for c in devices.pick("", 2)[0]] == ["cpu(0)", "cpu(1)"]
    with pytest.raises(UserError, match=r"no GPU 3; MXNet found 3 GPUs"):
        devices.pick("1,3")
