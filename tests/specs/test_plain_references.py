"""Networks that torchvision does not have, against the same networks written by hand in plain torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
import torch
from conftest import carry_over
from test_fashion import Joined, unlike_new
from test_specs import spec_of
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from archspec.language.finder import variants

pytestmark = pytest.mark.slow


def head(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))


def norm_relu(channels: int, eps: float = 1e-5) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels, eps), nn.ReLU())


def conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


def stem(width: int, eps: float = 1e-5) -> nn.Sequential:
    return nn.Sequential(conv(3, width, 7, 2), norm_relu(width, eps), nn.MaxPool2d(3, 2, 1))


class PreActUnit(nn.Module):
    """A residual unit of arXiv 1603.05027, section 4 and appendix.

    The activation stands before the split where the shape changes, on the main branch alone elsewhere; the network's
    first unit has none, since the stem's comes before it.
    """

    def __init__(self, inputs: int, width: int, stride: int, bottleneck: bool, first: bool) -> None:
        super().__init__()
        outputs = width * 4 if bottleneck else width
        changes = inputs != outputs or stride != 1
        self.before = norm_relu(inputs) if changes and not first else nn.Identity()
        self.opening = nn.Identity() if changes or first else norm_relu(inputs)
        self.main = nn.Sequential(
            *(conv(inputs, width), norm_relu(width), conv(width, width, 3, stride), norm_relu(width))
            if bottleneck
            else (conv(inputs, width, 3, stride), norm_relu(width)),
            conv(width, outputs, 1 if bottleneck else 3),
        )
        self.shortcut = conv(inputs, outputs, 1, stride) if changes else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        images = self.before(images)
        return self.main(self.opening(images)) + self.shortcut(images)


def preact(depths: list[int], bottleneck: bool = True) -> nn.Module:
    units, channels = [], 64
    for stage, depth in enumerate(depths):
        width = 64 * 2**stage
        for unit in range(depth):
            stride = 2 if stage and not unit else 1
            units.append(PreActUnit(channels, width, stride, bottleneck, first=stage == unit == 0))
            channels = width * 4 if bottleneck else width
    return nn.Sequential(stem(64), *units, norm_relu(channels), head(channels))


def norm_relu_conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(norm_relu(inputs, 1e-3), conv(inputs, outputs, kernel, stride, groups))


class DualPathUnit(nn.Module):
    """A unit of arXiv 1707.01629 on its two paths, kept apart: the residual one and the dense one."""

    def __init__(
        self, channels: int, width: int, inner: int, growth: int, stride: int, groups: int, first: bool
    ) -> None:
        super().__init__()
        self.width = width
        self.projection = norm_relu_conv(channels, width + 2 * growth, 1, stride) if first else None
        self.main = nn.Sequential(
            norm_relu_conv(channels, inner),
            norm_relu_conv(inner, inner, 3, stride, groups),
            norm_relu_conv(inner, width + growth),
        )

    def forward(self, paths: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        joined = torch.cat(paths, dim=1)
        if self.projection is not None:
            projected = self.projection(joined)
            paths = projected[:, : self.width], projected[:, self.width :]
        new = self.main(joined)
        return paths[0] + new[:, : self.width], torch.cat([paths[1], new[:, self.width :]], dim=1)


class DPN(nn.Module):
    def __init__(self, width: int, inner: int, groups: int, depths: list[int], growths: list[int]) -> None:
        super().__init__()
        self.stem = stem(width, 1e-3)
        units, channels = [], width
        for stage, (depth, growth) in enumerate(zip(depths, growths, strict=True)):
            scale = 2**stage
            for unit in range(depth):
                stride, first = 2 if stage and not unit else 1, unit == 0
                units.append(DualPathUnit(channels, 256 * scale, inner * scale, growth, stride, groups, first))
                channels = 256 * scale + 3 * growth if first else channels + growth
        self.units = nn.ModuleList(units)
        self.head = nn.Sequential(norm_relu(channels, 1e-3), head(channels))

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem(images)
        paths = features, features[:, :0]
        for unit in self.units:
            paths = unit(paths)
        return self.head(torch.cat(paths, dim=1))


def conv_norm_relu(
    inputs: int, outputs: int, kernel: int | tuple[int, int] = 1, stride: int = 1, padding: int | str = 0
) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
    return nn.Sequential(layer, norm_relu(outputs, 1e-3))


class InceptionResidual(nn.Module):
    """Branches, joined, taken to the input's channels, scaled and added to it (arXiv 1602.07261)."""

    def __init__(self, branches: list[nn.Module], joined: int, outputs: int, scale: float, relu: bool = True) -> None:
        super().__init__()
        self.main = nn.Sequential(Joined(branches), nn.Conv2d(joined, outputs, 1))
        self.scale, self.relu = scale, relu

    def forward(self, images: Tensor) -> Tensor:
        total = self.main(images) * self.scale + images
        return total.relu() if self.relu else total


def block35() -> nn.Module:
    branches = [
        conv_norm_relu(320, 32),
        nn.Sequential(conv_norm_relu(320, 32), conv_norm_relu(32, 32, 3, padding=1)),
        nn.Sequential(
            *(conv_norm_relu(320, 32), conv_norm_relu(32, 48, 3, padding=1), conv_norm_relu(48, 64, 3, padding=1))
        ),
    ]
    return InceptionResidual(branches, 128, 320, 0.17)


def block17() -> nn.Module:
    long = [conv_norm_relu(1088, 128), conv_norm_relu(128, 160, (1, 7), padding="same")]
    long.append(conv_norm_relu(160, 192, (7, 1), padding="same"))
    return InceptionResidual([conv_norm_relu(1088, 192), nn.Sequential(*long)], 384, 1088, 0.1)


def block8(scale: float, relu: bool) -> nn.Module:
    long = [conv_norm_relu(2080, 192), conv_norm_relu(192, 224, (1, 3), padding="same")]
    long.append(conv_norm_relu(224, 256, (3, 1), padding="same"))
    return InceptionResidual([conv_norm_relu(2080, 192), nn.Sequential(*long)], 448, 2080, scale, relu)


def inception_resnet_v2() -> nn.Module:
    mixed = [
        conv_norm_relu(192, 96),
        nn.Sequential(conv_norm_relu(192, 48), conv_norm_relu(48, 64, 5, padding=2)),
        nn.Sequential(
            *(conv_norm_relu(192, 64), conv_norm_relu(64, 96, 3, padding=1), conv_norm_relu(96, 96, 3, padding=1))
        ),
        nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), conv_norm_relu(192, 64)),
    ]
    reduction_a = [
        conv_norm_relu(320, 384, 3, 2),
        nn.Sequential(conv_norm_relu(320, 256), conv_norm_relu(256, 256, 3, padding=1), conv_norm_relu(256, 384, 3, 2)),
        nn.MaxPool2d(3, 2),
    ]
    reduction_b = [
        nn.Sequential(conv_norm_relu(1088, 256), conv_norm_relu(256, 384, 3, 2)),
        nn.Sequential(conv_norm_relu(1088, 256), conv_norm_relu(256, 288, 3, 2)),
        nn.Sequential(
            conv_norm_relu(1088, 256), conv_norm_relu(256, 288, 3, padding=1), conv_norm_relu(288, 320, 3, 2)
        ),
        nn.MaxPool2d(3, 2),
    ]
    return nn.Sequential(
        *(conv_norm_relu(3, 32, 3, 2), conv_norm_relu(32, 32, 3), conv_norm_relu(32, 64, 3, padding=1)),
        *(nn.MaxPool2d(3, 2), conv_norm_relu(64, 80), conv_norm_relu(80, 192, 3), nn.MaxPool2d(3, 2)),
        *(Joined(mixed), *(block35() for _ in range(10))),
        *(Joined(reduction_a), *(block17() for _ in range(20))),
        *(Joined(reduction_b), *(block8(0.2, relu=True) for _ in range(9)), block8(1.0, relu=False)),
        *(conv_norm_relu(2080, 1536), head(1536)),
    )


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "preact_resnet18": lambda: preact([2, 2, 2, 2], bottleneck=False),
    "preact_resnet34": lambda: preact([3, 4, 6, 3], bottleneck=False),
    "preact_resnet50": lambda: preact([3, 4, 6, 3]),
    "preact_resnet101": lambda: preact([3, 4, 23, 3]),
    "preact_resnet152": lambda: preact([3, 8, 36, 3]),
    "preact_resnet200": lambda: preact([3, 24, 36, 3]),
    "dpn92": lambda: DPN(64, 96, 32, [3, 4, 20, 3], [16, 32, 24, 128]),
    "dpn98": lambda: DPN(96, 160, 40, [3, 6, 20, 3], [16, 32, 32, 128]),
    "dpn131": lambda: DPN(128, 160, 40, [4, 8, 28, 3], [16, 32, 32, 128]),
    "dpn107": lambda: DPN(128, 200, 50, [4, 8, 20, 3], [20, 64, 64, 128]),
    "inception_resnet_v2": inception_resnet_v2,
}
# Parameters as timm publishes them with its weights; GMACs as in table 2 of arXiv 1707.01629
PARAMS = {"dpn92": 37_668_392, "dpn98": 61_570_728, "dpn131": 79_254_504, "dpn107": 86_917_800}
PARAMS["inception_resnet_v2"] = 55_843_464
GMACS = {"dpn92": 6.5, "dpn98": 11.7, "dpn131": 16.0}


@pytest.mark.parametrize("variant", NETWORKS)
def test_figures_are_those_of_the_one_written_by_hand(variant: str) -> None:
    """And so are the shapes of all parameters: of those whose logits are not compared, that leaves the order alone."""
    plan = spec_of(variants()[variant], variant).plan
    with torch.device("meta"):
        theirs = NETWORKS[variant]().eval()
        with FlopCounterMode(display=False) as counter:
            theirs(torch.empty(1, *plan.input))
    assert plan.params == sum(p.numel() for p in theirs.parameters()) == PARAMS.get(variant, plan.params)
    assert Counter(shape for placed in plan.layers for _, shape in placed.layer.parameters) == Counter(
        tuple(p.shape) for p in theirs.parameters()
    )
    assert plan.macs == counter.get_total_flops() / 2
    assert round(plan.macs / 1e9, 1) == GMACS.get(variant, round(plan.macs / 1e9, 1))


# of each file, and of both kinds of unit: the others differ from these in numbers alone
@pytest.mark.parametrize("variant", ["preact_resnet18", "preact_resnet50", "dpn92", "inception_resnet_v2"])
def test_logits_are_those_of_the_one_written_by_hand(variant: str) -> None:
    torch.manual_seed(0)
    theirs, spec = NETWORKS[variant]().eval(), spec_of(variants()[variant], variant)
    unlike_new(theirs)
    ours = spec.build().eval()
    size = 139 if variant == "inception_resnet_v2" else 64  # small: the layers are the same
    images = torch.randn(2, 3, size, size)
    carry_over(theirs, ours, images)
    with torch.inference_mode():
        logits = theirs(images)
        assert torch.equal(ours(images), logits)
        assert logits.isfinite().all()
        assert logits.std() > 0
