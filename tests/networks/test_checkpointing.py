"""`checkpointing=True`: the same training step in less memory."""

from __future__ import annotations

import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from swath.networks import create_model

SMALL = {
    "mixscale_densenet": {"layers": 24},
    "rf_mobilenetv2plus": {"width": 0.25},
    "mobilenetv2share": {"width": 0.25},
    "rf_mobilenetv2context": {"width": 0.25},
}


class PeakMemory(TorchDispatchMode):
    """Bytes of all tensors made within it, while they live; the inputs that checkpointing keeps count as well."""

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self.alive = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        return out

    def _count(self, storage):
        key = storage._cdata
        if key not in self.alive:
            size = storage.nbytes()
            self.now += size
            self.peak = max(self.peak, self.now)
            self.alive[key] = weakref.finalize(storage, self._free, key, size)

    def _free(self, key, size):
        del self.alive[key]
        self.now -= size


def step(model, images):
    """The loss of one training step; gradients stay in the model."""
    torch.manual_seed(1)  # dropout draws the same places
    loss = sum(out.square().mean() for out in model.logits(images))
    loss.backward()
    return loss.item()


def trained(name, checkpointing):
    """A small network after one step in double precision, and its loss."""
    torch.manual_seed(0)
    model = create_model(name, num_classes=4, checkpointing=checkpointing, **SMALL[name]).double().train()
    return model, step(model, torch.randn(2, 3, 32, 48, dtype=torch.float64))


@pytest.mark.parametrize("name", SMALL)
def test_gradients_and_statistics_are_the_same(name):
    plain, loss = trained(name, checkpointing=False)
    saving, same_loss = trained(name, checkpointing=True)
    assert same_loss == pytest.approx(loss, rel=1e-12)
    for (key, a), b in zip(plain.named_parameters(), saving.parameters()):
        assert torch.allclose(a.grad, b.grad, rtol=1e-9, atol=1e-12), key
    for (key, a), b in zip(plain.named_buffers(), saving.buffers()):  # seen once, not twice
        assert torch.allclose(a, b, rtol=1e-12), key


@pytest.mark.parametrize(("name", "share"), [("mixscale_densenet", 0.4), ("mobilenetv2plus", 0.7)])
def test_memory_is_saved(name, share):
    peaks = []
    for checkpointing in (False, True):
        with PeakMemory() as memory:
            step(create_model(name, checkpointing=checkpointing).train(), torch.randn(2, 3, 96, 128))
        peaks.append(memory.peak)
    assert peaks[1] < share * peaks[0]


def test_momentum_and_counter_come_back():
    model, _ = trained("mixscale_densenet", checkpointing=True)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.momentum == 0.1 and module.num_batches_tracked.item() == 1
