"""The Fashion-MNIST networks and LeNet-5, against the same networks written by hand in plain torch."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from conftest import carry_over
from torch import Tensor, nn

from archspec.recipe import Optimizer
from archspec.spec import load


class Joined(nn.ModuleList):
    """Branches of one input, joined on their channels."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([branch(images) for branch in self], dim=1)


def conv_relu(inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, padding), nn.ReLU())


def classifier(features: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(),
        *(nn.Linear(features, 4096), nn.ReLU(), nn.Dropout(0.5)),
        *(nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(0.5)),
        nn.Linear(4096, 10),
    )


def pooled(features: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(features, 10))


def stem() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 64, 7, 2, 3), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1))


def alexnet() -> nn.Module:
    return nn.Sequential(
        *(conv_relu(1, 96, 11, stride=4, padding=1), nn.MaxPool2d(3, 2)),
        *(conv_relu(96, 256, 5, padding=2), nn.MaxPool2d(3, 2)),
        *(conv_relu(256, 384, 3, padding=1), conv_relu(384, 384, 3, padding=1), conv_relu(384, 256, 3, padding=1)),
        nn.MaxPool2d(3, 2),
        classifier(256 * 5 * 5),
    )


def vgg() -> nn.Module:
    return nn.Sequential(
        *(conv_relu(1, 16, 3, padding=1), nn.MaxPool2d(2)),
        *(conv_relu(16, 32, 3, padding=1), nn.MaxPool2d(2)),
        *(conv_relu(32, 64, 3, padding=1), conv_relu(64, 64, 3, padding=1), nn.MaxPool2d(2)),
        *(conv_relu(64, 128, 3, padding=1), conv_relu(128, 128, 3, padding=1), nn.MaxPool2d(2)),
        *(conv_relu(128, 128, 3, padding=1), conv_relu(128, 128, 3, padding=1), nn.MaxPool2d(2)),
        classifier(128 * 7 * 7),
    )


def nin() -> nn.Module:
    def mlpconv(inputs: int, outputs: int, kernel: int, stride: int, padding: int) -> nn.Sequential:
        first = conv_relu(inputs, outputs, kernel, stride, padding)
        return nn.Sequential(first, conv_relu(outputs, outputs, 1), conv_relu(outputs, outputs, 1))

    return nn.Sequential(
        *(mlpconv(1, 96, 11, 4, 0), nn.MaxPool2d(3, 2)),
        *(mlpconv(96, 256, 5, 1, 2), nn.MaxPool2d(3, 2)),
        *(mlpconv(256, 384, 3, 1, 1), nn.MaxPool2d(3, 2)),
        *(nn.Dropout(0.5), mlpconv(384, 10, 3, 1, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    )


def googlenet() -> nn.Module:
    def inception(inputs: int, one: int, three: tuple[int, int], five: tuple[int, int], pool: int) -> Joined:
        return Joined(
            [
                conv_relu(inputs, one, 1),
                nn.Sequential(conv_relu(inputs, three[0], 1), conv_relu(*three, 3, padding=1)),
                nn.Sequential(conv_relu(inputs, five[0], 1), conv_relu(*five, 5, padding=2)),
                nn.Sequential(nn.MaxPool2d(3, 1, 1), conv_relu(inputs, pool, 1)),
            ]
        )

    return nn.Sequential(
        *(conv_relu(1, 64, 7, stride=2, padding=3), nn.MaxPool2d(3, 2, 1)),
        *(conv_relu(64, 64, 1), conv_relu(64, 192, 3, padding=1), nn.MaxPool2d(3, 2, 1)),
        inception(192, 64, (96, 128), (16, 32), 32),
        inception(256, 128, (128, 192), (32, 96), 64),
        nn.MaxPool2d(3, 2, 1),
        inception(480, 192, (96, 208), (16, 48), 64),
        inception(512, 160, (112, 224), (24, 64), 64),
        inception(512, 128, (128, 256), (24, 64), 64),
        inception(512, 112, (144, 288), (32, 64), 64),
        inception(528, 256, (160, 320), (32, 128), 128),
        nn.MaxPool2d(3, 2, 1),
        inception(832, 256, (160, 320), (32, 128), 128),
        inception(832, 384, (192, 384), (48, 128), 128),
        pooled(1024),
    )


def lenet_bn() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.BatchNorm2d(6), nn.Sigmoid(), nn.AvgPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.BatchNorm2d(16), nn.Sigmoid(), nn.AvgPool2d(2)),
        nn.Flatten(),
        *(nn.Linear(256, 120), nn.BatchNorm1d(120), nn.Sigmoid()),
        *(nn.Linear(120, 84), nn.BatchNorm1d(84), nn.Sigmoid()),
        nn.Linear(84, 10),
    )


class Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            *(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs), nn.ReLU()),
            *(nn.Conv2d(outputs, outputs, 3, 1, 1), nn.BatchNorm2d(outputs)),
        )
        self.side = nn.Conv2d(inputs, outputs, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        return torch.relu(self.main(images) + self.side(images))


def resnet() -> nn.Module:
    shapes = [(64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)]
    groups = [nn.Sequential(Residual(*shape), Residual(shape[1], shape[1], 1)) for shape in shapes]
    return nn.Sequential(stem(), *groups, pooled(512))


def densenet() -> nn.Module:
    layers: list[nn.Module] = [stem()]
    channels = 64
    for block in range(4):
        for _ in range(4):
            new = [nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, 32, 3, padding=1)]
            layers.append(Joined([nn.Identity(), nn.Sequential(*new)]))
            channels += 32
        if block < 3:
            layers += [nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, channels // 2, 1), nn.AvgPool2d(2)]
            channels //= 2
    return nn.Sequential(*layers, nn.BatchNorm2d(channels), nn.ReLU(), pooled(channels))


def lenet5() -> nn.Module:
    return nn.Sequential(
        *(conv_relu(1, 6, 5), nn.MaxPool2d(2)),
        *(conv_relu(6, 16, 5), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


NETWORKS: list[tuple[str, Callable[[], nn.Module], int]] = [
    ("fashion/alexnet", alexnet, 46_764_746),
    ("fashion/vgg", vgg, 43_093_322),
    ("fashion/nin", nin, 1_992_166),
    ("fashion/googlenet", googlenet, 5_977_530),
    ("fashion/lenet_bn", lenet_bn, 44_878),
    ("fashion/resnet", resnet, 11_178_378),
    ("fashion/densenet", densenet, 758_226),
    ("fashion/lenet5", lenet5, 61_706),
]
RECIPES = {
    "alexnet": (0.01, 128),
    "vgg": (0.1, 128),
    "nin": (0.1, 128),
    "googlenet": (0.1, 128),
    "lenet_bn": (1.0, 256),
    "resnet": (0.05, 256),
    "densenet": (0.1, 256),
}


def unlike_new(module: nn.Module) -> None:
    """Parameters and statistics unlike those of a new network, so that each counts."""
    for parameter in module.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    for name, buffer in module.named_buffers():
        if name.endswith("running_mean"):
            buffer.uniform_(-0.1, 0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "reference", "params"), NETWORKS, ids=[name for name, *_ in NETWORKS])
def test_network_equals_the_one_written_by_hand(name: str, reference: Callable[[], nn.Module], params: int) -> None:
    torch.manual_seed(0)
    theirs, spec = reference().eval(), load(name)
    assert spec.plan.params == sum(p.numel() for p in theirs.parameters()) == params
    images = torch.randn(2, *spec.plan.input)
    unlike_new(theirs)
    ours = spec.build().eval()
    carry_over(theirs, ours, images)
    with torch.inference_mode():
        logits = theirs(images)
        assert torch.equal(ours(images), logits)
        assert logits.isfinite().all()
        assert logits.std() > 0


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_recipe_is_the_published_one(name: str) -> None:
    recipe = load(f"fashion/{name}").recipe
    lr, batch_size = RECIPES[name]
    assert recipe.optimizer == Optimizer("sgd", {"lr": lr})
    assert (recipe.data, recipe.epochs, recipe.batch_size) == ("fashion_mnist", 10, batch_size)
    assert (recipe.augment, recipe.schedule) == ((), None)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_weights_begin_xavier_uniform_and_biases_zero(name: str) -> None:
    layers = [m for m in load(f"fashion/{name}").build().modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert layers
    for layer in layers:
        fan_out, fan_in = layer.weight.shape[:2]
        window = layer.weight[0, 0].numel()
        bound = math.sqrt(6 / ((fan_in + fan_out) * window))
        assert 0.9 * bound < layer.weight.abs().max() <= bound * (1 + 1e-6)
        assert not layer.bias.any()
