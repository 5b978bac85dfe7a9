"""What every model keeps to."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from memreg import models
from memreg.models.trial import in_format, memory_format


class ModelSuite:
    """Set `name`, as `model=` has it."""

    name: str
    image_shape = (1, 8, 8)
    """(channels, height, width)."""
    classes = 10

    def build(self, seed: int = 0) -> nn.Module:
        """Initialised from torch's global random stream."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            form = memory_format(self.name, self.image_shape, self.classes)
            torch.manual_seed(seed)
            return in_format(models.build(self.name, self.image_shape, self.classes), form)

    def images(self, n: int = 4) -> Tensor:
        """Draw images as a training step gives them."""
        images = torch.randn(n, *self.image_shape, generator=torch.Generator().manual_seed(1))
        return images.to(memory_format=torch.channels_last)

    def test_logits_have_a_column_for_each_class(self) -> None:
        logits = self.build()(self.images())
        assert logits.shape == (4, self.classes)
        assert logits.dtype == torch.float32
        assert logits.isfinite().all()

    def test_every_parameter_gets_a_finite_gradient(self) -> None:
        network = self.build().train()
        loss = F.cross_entropy(network(self.images()), torch.arange(4) % self.classes)
        named = {name: p for name, p in network.named_parameters() if p.requires_grad}
        gradients = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
        unused = [name for name, gradient in zip(named, gradients, strict=True) if gradient is None]
        assert not unused, f"parameters that the logits do not depend on: {unused}"
        assert all(gradient.isfinite().all() for gradient in gradients)

    def test_a_seed_gives_the_same_weights_and_another_gives_others(self) -> None:
        first, again, other = (list(self.build(seed).parameters()) for seed in (0, 0, 1))
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
        assert any(not torch.equal(a, b) for a, b in zip(first, other, strict=True))

    def test_it_predicts_each_image_by_itself(self) -> None:
        network, images = self.build().eval(), self.images()
        with torch.inference_mode():
            together, alone = network(images), torch.cat([network(image[None]) for image in images])
        assert torch.allclose(together, alone, atol=1e-4)
