"""Residual networks, He et al., https://arxiv.org/abs/1512.03385, from torchvision's blocks."""

from torch import nn

from memreg.models.layouts import RESNET


def resnet(name: str, image_shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """The network of one layout, for images of (channels, height, width), any.

    From 128 pixels on the stem is the original one, which leaves a quarter of each side; below, it
    is one 3x3 convolution that leaves the sides whole, as is usual for CIFAR.
    """
    from torchvision.models import resnet as torchvision  # 1.6 s to import

    layout = RESNET[name]
    block = getattr(torchvision, layout.block)
    channels, height, width = image_shape
    features = layout.widths[0]
    layers = _stem(channels, features, min(height, width) >= 128, layout.pooled)
    for stage, (planes, blocks) in enumerate(zip(layout.widths, layout.blocks, strict=True)):
        for i in range(blocks):
            stride = 2 if stage > 0 and i == 0 else 1
            out = planes * block.expansion
            shortcut = None
            if stride > 1 or features != out:
                conv = nn.Conv2d(features, out, 1, stride, bias=False)
                shortcut = nn.Sequential(conv, nn.BatchNorm2d(out))
            layers.append(block(features, planes, stride, shortcut))
            features = out
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(features, classes)]
    model = nn.Sequential(*layers, *head)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model


def _stem(channels: int, features: int, large: bool, pooled: bool) -> list[nn.Module]:
    norm = [nn.BatchNorm2d(features), nn.ReLU(inplace=True)]
    if large:
        conv = nn.Conv2d(channels, features, 7, stride=2, padding=3, bias=False)
        return [conv, *norm, nn.MaxPool2d(3, stride=2, padding=1)]
    conv = nn.Conv2d(channels, features, 3, padding=1, bias=False)
    return [conv, *([nn.MaxPool2d(2)] if pooled else []), *norm]
