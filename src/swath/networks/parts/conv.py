"""Convolution blocks. Each is an `nn.Sequential`, so that `fuse` can fold its norms."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

Activation = Callable[[], nn.Module]


def relu() -> nn.Module:
    return nn.ReLU(inplace=True)


def conv(
    i: int,
    o: int,
    kernel: int | tuple[int, int] = 3,
    stride: int | tuple[int, int] = 1,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    bias: bool = False,
) -> nn.Conv2d:
    """A convolution that keeps the size (but for its stride): padding dilation * (kernel // 2)."""
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    dilation = (dilation, dilation) if isinstance(dilation, int) else dilation
    padding = (dilation[0] * (kernel[0] // 2), dilation[1] * (kernel[1] // 2))
    return nn.Conv2d(i, o, kernel, stride, padding, dilation, groups, bias)


class ConvNormAct(nn.Sequential):
    """Convolution (without bias unless asked), batch norm, activation (None: leave it out)."""

    def __init__(
        self,
        i: int,
        o: int,
        kernel: int | tuple[int, int] = 3,
        stride: int | tuple[int, int] = 1,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        act: Activation | None = relu,
        eps: float = 1e-5,
        momentum: float = 0.1,
        bias: bool = False,
    ):
        super().__init__(
            conv(i, o, kernel, stride, dilation, groups, bias),
            nn.BatchNorm2d(o, eps=eps, momentum=momentum),
            *([act()] if act else []),
        )


class NormActConv(nn.Sequential):
    """Batch norm, ReLU, convolution: pre-activation order. The ReLU overwrites the norm's output, never its input."""

    def __init__(self, i: int, o: int, kernel: int = 3, groups: int = 1, bias: bool = False, momentum: float = 0.1):
        super().__init__(nn.BatchNorm2d(i, momentum=momentum), relu(), conv(i, o, kernel, groups=groups, bias=bias))


class SeparableConv(nn.Sequential):
    """Depthwise 3x3, then 1x1, each with norm and ReLU."""

    def __init__(self, i: int, o: int, stride: int = 1):
        super().__init__(ConvNormAct(i, i, 3, stride, groups=i), ConvNormAct(i, o, 1))


class InvertedResidual(nn.Module):
    """MobileNetV2's block: widen by 1x1, depthwise 3x3, narrow by 1x1 without activation; added to its input when
    the shapes agree (arXiv 1801.04381). `expand_always` keeps the first 1x1 even when it widens by 1."""

    def __init__(
        self,
        i: int,
        o: int,
        stride: int = 1,
        expand: int = 6,
        dilation: int = 1,
        act: Activation = relu,
        expand_always: bool = False,
    ):
        super().__init__()
        hidden = i * expand
        widen = [ConvNormAct(i, hidden, 1, act=act)] if expand != 1 or expand_always else []
        self.body = nn.Sequential(
            *widen,
            ConvNormAct(hidden, hidden, 3, stride, dilation, groups=hidden, act=act),
            ConvNormAct(hidden, o, 1, act=None),
        )
        self.shortcut = stride == 1 and i == o

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y if self.shortcut else y


def initialise(model: nn.Module) -> None:
    """Kaiming-normal (fan out) convolutions, norms at 1 and 0; biases 0: a good start for training from scratch."""
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d) and module.affine:
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
