"""Losses that torch does not have.

Of masks, pixels whose target is `IGNORED` do not count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.input.masks import IGNORED


class ClassWeights(nn.Module):
    """How much each class counts in a loss, `values` `(classes,)`: 1 until they are fitted.

    `given` are weights by names of classes, the others 1; or `balanced`: the inverse of how many training images a
    class has, such that their mean over the images is 1.
    """

    values: Tensor

    def __init__(self, given: str | Mapping[str, float], classes: int) -> None:
        super().__init__()
        self.given = given
        self.register_buffer("values", torch.ones(classes))

    def fit(self, labels: Tensor, class_names: Sequence[str]) -> None:
        """Set the weights by the names of the classes and the labels `(N,)` of the training images."""
        if isinstance(self.given, str):
            counts = torch.bincount(labels, minlength=len(class_names)).double()
            balanced = len(labels) / ((counts > 0).sum() * counts)
            self.values.copy_(torch.where(counts > 0, balanced, 1.0))
        else:
            self.values.copy_(torch.tensor([float(self.given.get(name, 1.0)) for name in class_names]))


class WeightedCrossEntropy(nn.Module):
    """Cross-entropy times the weight of the right class: the mean over images, however a batch is divided.

    `torch.nn.CrossEntropyLoss` divides by the weights of the batch instead.
    """

    def __init__(self, weight: ClassWeights, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.weight = weight
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of logits `(N, classes)` and labels `(N,)` or `(N, classes)`."""
        return functional.cross_entropy(
            logits, labels, self.weight.values, label_smoothing=self.label_smoothing, reduction="none"
        ).mean()


class BinaryCrossEntropy(nn.Module):
    """Each class is a yes-or-no decision of its own: the mean over images and classes (https://arxiv.org/abs/2110.00476)."""

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of logits `(N, classes)` and labels `(N,)` or `(N, classes)`; smoothing is spread over classes."""
        classes = logits.shape[1]
        targets = functional.one_hot(labels, classes) if labels.ndim == 1 else labels
        targets = targets.to(logits.dtype) * (1 - self.label_smoothing) + self.label_smoothing / classes
        return functional.binary_cross_entropy_with_logits(logits, targets)


class Charbonnier(nn.Module):
    """The root of the squared difference plus `eps²`, less `eps`: near L1, smooth at 0.

    https://doi.org/10.1109/ICIP.1994.413553
    """

    def __init__(self, eps: float = 1e-3) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, output: Tensor, targets: Tensor) -> Tensor:
        return ((output - targets) ** 2 + self.eps**2).sqrt().mean() - self.eps


def of_numbers(name: str, options: dict[str, Any]) -> nn.Module:
    """A loss of differences by its name, a mean over all numbers."""
    kinds: dict[str, type[nn.Module]] = {
        "mean_squared_error": nn.MSELoss,
        "mean_absolute_error": nn.L1Loss,
        "smooth_l1": nn.SmoothL1Loss,
        "charbonnier": Charbonnier,
    }
    return kinds[name](**options)


class Sum(nn.Module):
    """Losses, each times its factor, added up."""

    def __init__(self, terms: Sequence[nn.Module], factors: Sequence[float]) -> None:
        super().__init__()
        self.terms = nn.ModuleList(terms)
        self.factors = list(factors)

    def forward(self, output: Tensor, targets: Tensor) -> Tensor:
        parts = [factor * term(output, targets) for factor, term in zip(self.factors, self.terms, strict=True)]
        return torch.stack(parts).sum()


class Focal(nn.Module):
    """Cross-entropy times `(1 - p)^gamma`, p the probability of the right class (https://arxiv.org/abs/1708.02002)."""

    def __init__(self, gamma: float = 2.0, weight: ClassWeights | None = None) -> None:
        super().__init__()
        self.gamma = gamma
        self.weight = weight

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of logits `(N, classes)` and labels `(N,)` or `(N, classes)`."""
        log = logits.log_softmax(1)
        targets = functional.one_hot(labels, logits.shape[1]) if labels.ndim == 1 else labels
        if self.weight is not None:
            targets = targets * self.weight.values
        return -(targets * (1 - log.exp()) ** self.gamma * log).sum(1).mean()


class OfPixels(nn.Module):
    """A loss of each pixel on its own: the mean over all whose class is known, 0 where there is none."""

    def __init__(self, gamma: float = 0.0, label_smoothing: float = 0.0, weight: ClassWeights | None = None) -> None:
        super().__init__()
        self.gamma = gamma
        self.label_smoothing = label_smoothing
        self.weight = weight

    def forward(self, logits: Tensor, masks: Tensor) -> Tensor:
        """The loss of logits `(N, classes, H, W)` and masks `(N, H, W)`: cross-entropy, with a `gamma` focal."""
        targets = masks.long()
        losses = functional.cross_entropy(
            logits,
            targets,
            self.weight.values if self.weight and not self.gamma else None,
            ignore_index=IGNORED,
            label_smoothing=self.label_smoothing,
            reduction="none",
        )
        if self.gamma:
            losses = (1 - (-losses).exp()) ** self.gamma * losses
            if self.weight is not None:
                losses = losses * self.weight.values[targets * (targets != IGNORED)]
        return losses.sum() / (targets != IGNORED).sum().clamp(min=1)


class Tversky(nn.Module):
    """One less the overlap of the probabilities and the masks, of each class in each image (https://arxiv.org/abs/1706.05721).

    The overlap is `hits / (hits + alpha * wrongly found + beta * missed)`; with both one half, it is Dice's
    (https://arxiv.org/abs/1606.04797). To numerator and denominator are added `smooth` pixels, so that a class which
    an image does not hold costs what is wrongly found of it.
    """

    def __init__(self, alpha: float = 0.3, beta: float = 0.7, smooth: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha
        self.beta = beta
        self.smooth = smooth

    def forward(self, logits: Tensor, masks: Tensor) -> Tensor:
        """The loss of logits `(N, classes, H, W)` and masks `(N, H, W)`, a mean over images and classes."""
        known = (masks != IGNORED)[:, None]
        truth = functional.one_hot(masks.long() * known[:, 0], logits.shape[1]).movedim(-1, 1) * known
        found = logits.float().softmax(1) * known
        hits = (found * truth).sum((2, 3))
        wrong, missed = found.sum((2, 3)) - hits, truth.sum((2, 3)) - hits
        overlap = (hits + self.smooth) / (hits + self.alpha * wrong + self.beta * missed + self.smooth)
        return (1 - overlap).mean()


class Dice(Tversky):
    """One less Dice's overlap (https://arxiv.org/abs/1606.04797), `(2 hits + smooth) / (found + truth + smooth)`."""

    def __init__(self, smooth: float = 1.0) -> None:
        super().__init__(0.5, 0.5, smooth / 2)
