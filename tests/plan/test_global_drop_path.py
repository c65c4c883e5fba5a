"""Columns drawn for a whole network: FractalNet against one written by hand, under the same draws."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import archspec
from archspec.assembly.assemble import assemble
from archspec.foundation.errors import SpecError
from archspec.layers.modules.branch_factors import BranchFactors
from archspec.layers.modules.draw_column import DrawColumn
from archspec.views.kept import kept_tensors
from archspec.views.memory import kept_bytes
from archspec.views.receptive import receptive_fields

COLUMNS = 4
FRACTAL_NET = """archspec: 1
name: Fractal network
input: [3, 16, 16]
vars: {columns: 4, p: 0.5, mode: row, drop: 0.0, widths: [4, 8]}
blocks:
  fractal:
    inputs: [x, draw]
    args: {deep: {type: integer, minimum: 1}, of: 4, width: 16, drop: 0.0}
    body:
      - columns: {deep: =deep, of: =of, width: =width, drop: =drop}
        load: [x, draw]
      - multiply:
          columns: []
          factors:
            - load: draw
            - branch_factors: {columns: "=range(of - deep, of)", channels: =width, p: =drop}
            - reshape: "=[deep * width, 1, 1]"
        when: =deep > 1
      - branch_mean: =deep
        when: =deep > 1
  columns:
    inputs: [x, draw]
    args: {deep: {type: integer, minimum: 1}, of: 4, width: 16, drop: 0.0}
    body:
      concat:
        convolution: [conv: {out: =width, kernel: 3, padding: 1}, tanh]
        fractals:
          when: =deep > 1
          body:
            - fractal: {deep: =deep - 1, of: =of, width: =width, drop: =drop}
              load: [x, draw]
            - save: half
            - columns: {deep: =deep - 1, of: =of, width: =width, drop: =drop}
              load: [half, draw]
network:
  - save: x
  - draw_column: {columns: =columns, p: =p, mode: =mode}
  - save: draw
  - for: {width: =widths}
    body:
      - fractal: {deep: =columns, of: =columns, width: =width, drop: =drop}
        load: [x, draw]
      - max_pool: 2
      - save: x
        when: =not last
"""


def spec_of(folder: Path, **variables: Any) -> archspec.Spec:
    path = folder / "fractal.yaml"
    path.write_text(FRACTAL_NET)
    return archspec.load(str(path), set=[f"{name}={value}" for name, value in variables.items()])


class Block(nn.Module):
    """One block of the paper: column c has 2^c convolutions; those that end together are joined by one mean.

    Written along the depth, as the paper's figure shows it, and not by its recursion.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.columns = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(width if i else channels, width, 3, padding=1) for i in range(2**c))
            for c in range(COLUMNS)
        )

    def forward(self, input: Tensor, drawn: list[int | None]) -> Tensor:
        depth = 2 ** (COLUMNS - 1)
        reached = [input] * COLUMNS
        for step in range(1, depth + 1):
            ended = [c for c in range(COLUMNS) if step % (depth // 2**c) == 0]
            for c in ended:
                convolution = self.columns[c][step // (depth // 2**c) - 1]
                reached[c] = convolution(reached[c]).tanh()
            whole = torch.stack([reached[c] for c in ended], 1)
            joined = []
            for sample, column in enumerate(drawn):
                branches = whole[sample]
                joined.append(branches[ended.index(column)] if column in ended else branches.mean(0))
            for c in ended:
                reached[c] = torch.stack(joined)
        return reached[0]

    def run_column(self, input: Tensor, column: int) -> Tensor:
        """The plain network that a column is by itself."""
        for convolution in self.columns[column]:
            input = convolution(input).tanh()
        return input


class FractalNet(nn.Module):
    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(map(Block, (3, *widths), widths))

    def forward(self, input: Tensor, drawn: list[int | None]) -> Tensor:
        for block in self.blocks:
            input = nn.functional.max_pool2d(block(input, drawn), 2)
        return input


def order(name: str) -> tuple[int, ...]:
    """Where a convolution of ours stands in the network by hand: block, column, and position in it.

    The path leads into the first half (`0`) or the second (`2`) of fractals, at each of which a column is halved.
    """
    parts = name.split(".")
    halves = [int(parts[i + 1]) // 2 for i, part in enumerate(parts) if part == "fractals"]
    return int(parts[1]), len(halves), int("".join(map(str, halves)) or "0", 2)


def pair(spec: archspec.Spec) -> tuple[nn.Module, FractalNet]:
    torch.manual_seed(0)
    ours, theirs = spec.build().double(), FractalNet((4, 8)).double()
    state = ours.state_dict()
    for kind in ("weight", "bias"):
        names = sorted((name for name in state if name.endswith(kind)), key=order)
        mine = [(name, one) for name, one in theirs.named_parameters() if name.endswith(kind)]
        for name, (_, parameter) in zip(names, mine, strict=True):
            parameter.data.copy_(state[name])
    return ours, theirs


def drawn_in(module: nn.Module, draws: list[Tensor]) -> None:
    """Note what `draw_column` gives."""
    (one,) = [part for part in module.modules() if type(part).__name__ == "DrawColumn"]
    one.register_forward_hook(lambda _module, _inputs, output: draws.append(output))


def test_a_fractal_net_is_the_papers_under_the_same_draws(tmp_path: Path) -> None:
    spec = spec_of(tmp_path)
    ours, theirs = pair(spec)
    assert spec.plan.params == sum(one.numel() for one in theirs.parameters())
    draws: list[Tensor] = []
    drawn_in(ours, draws)
    images = torch.randn(16, 3, 16, 16, dtype=torch.float64)

    output = ours.train()(images)
    drawn = [None if one.sum() > 1 else int(one.argmax()) for one in draws[0]]
    assert {None, 0, 1, 2, 3} == set(drawn)
    torch.testing.assert_close(output, theirs(images, drawn))
    output.square().mean().backward()
    theirs(images, drawn).square().mean().backward()
    gradients = sorted((order(name), one.grad) for name, one in ours.named_parameters() if name.endswith("weight"))
    by_hand = [one.grad for name, one in theirs.named_parameters() if name.endswith("weight")]
    assert len(gradients) == 2 * 15
    for (_, found), expected in zip(gradients, by_hand, strict=True):
        torch.testing.assert_close(found, expected)

    ours.eval()
    torch.testing.assert_close(ours(images), theirs(images, [None] * 16))


@pytest.mark.parametrize("column", range(COLUMNS))
def test_a_drawn_column_is_a_plain_network_and_others_learn_nothing(column: int, tmp_path: Path) -> None:
    ours, theirs = pair(spec_of(tmp_path, p=1, mode="batch", drop=0.3))
    draws: list[Tensor] = []
    drawn_in(ours, draws)
    images = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    for seed in range(100):
        torch.manual_seed(seed)
        output = ours.train()(images)
        if draws[-1][0, column] == 1:
            break
    assert draws[-1].tolist() == [[float(one == column) for one in range(COLUMNS)]] * 2
    expected = images
    for block in theirs.blocks:
        assert isinstance(block, Block)
        expected = nn.functional.max_pool2d(block.run_column(expected, column), 2)
    torch.testing.assert_close(output, expected)
    output.square().mean().backward()
    for name, parameter in ours.named_parameters():
        assert parameter.grad is not None
        assert bool(parameter.grad.any()) is (order(name)[1] == column), name


def test_columns_are_drawn_by_their_shares() -> None:
    torch.manual_seed(0)
    draw = DrawColumn(3, 0.6)
    drawn = draw(torch.zeros(20_000, 2))
    alone = drawn.sum(1) == 1
    assert abs(alone.float().mean().item() - 0.6) < 0.015
    assert (drawn[~alone] == 1).all()
    assert (drawn[alone].mean(0) - 1 / 3).abs().max() < 0.02
    once = DrawColumn(3, 1.0, "batch")(torch.zeros(5, 2))
    assert once.sum(1).tolist() == [1.0] * 5
    assert (once == once[0]).all()
    state = torch.get_rng_state()
    assert (draw.eval()(torch.zeros(4, 2)) == 1).all()
    assert torch.equal(torch.get_rng_state(), state)


def test_factors_keep_the_drawn_branch_or_drop_some() -> None:
    ones = [1.0] * 4
    drawn = torch.tensor([[0.0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0], ones])
    factors = BranchFactors((1, 2, 3), 2)(drawn)
    expected = [[0.0, 0, 3, 3, 0, 0], [0.0, 0, 0, 0, 3, 3], [1.0] * 6, [1.0] * 6]
    assert factors.tolist() == expected

    torch.manual_seed(0)
    dropping = BranchFactors((0, 1, 3), 1, 0.6)
    assert (dropping(drawn[:1].expand(50, -1)) == 1).all()  # column 2 leads elsewhere
    assert (dropping(drawn[1:2].expand(50, -1)) == torch.tensor([0.0, 0, 3])).all()
    local = dropping(torch.ones(20_000, 4))
    torch.testing.assert_close(local.sum(1), torch.full((20_000,), 3.0))
    kept = (local > 0).sum(1)
    shares = [3 * 0.4 * 0.6**2 + 0.6**3, 3 * 0.4**2 * 0.6, 0.4**3]  # one, two or three survive
    for count, share in enumerate(shares, 1):
        assert abs((kept == count).float().mean().item() - share) < 0.015
    assert (dropping.eval()(torch.ones(4, 4)) == 1).all()


def test_a_draw_keeps_nothing_and_sees_nothing(tmp_path: Path) -> None:
    from tests.views.test_memory import saved  # what torch saves

    spec = spec_of(tmp_path, drop=0.2)
    for batch in (1, 3):
        assert kept_bytes(spec.plan, batch) == saved(spec.build().train(), torch.rand(batch, 3, 16, 16))
    kept, fields = kept_tensors(spec.plan), receptive_fields(spec.plan)
    draw = next(node for node in spec.plan.layers if node.layer.primitive == "draw_column")
    assert draw.id not in kept.learns
    assert fields[draw.id] is None
    factors = [node.id for node in spec.plan.layers if node.layer.primitive == "branch_factors"]
    assert len(factors) == 8
    assert {fields[id] for id in factors} == {None}


def test_a_draw_in_the_middle_passes_no_gradient(tmp_path: Path) -> None:
    from tests.views.test_memory import saved

    path = tmp_path / "middle.yaml"
    path.write_text(
        "archspec: 1\ninput: [3, 8, 8]\nnetwork:\n"
        "  - conv: {out: 4, kernel: 3, padding: 1}\n  - save: x\n  - draw_column: 2\n  - save: draw\n  - load: x\n"
        "  - concat: [conv: {out: 4, kernel: 1}, tanh]\n"
        "  - multiply:\n      joined: []\n      factors:\n        - load: draw\n"
        "        - branch_factors: {columns: [0, 1], channels: 4, p: 0.2}\n        - reshape: [8, 1, 1]\n"
        "  - branch_mean: 2\n"
    )
    spec = archspec.load(str(path))
    assert kept_bytes(spec.plan, 3) == saved(spec.build().train(), torch.rand(3, 3, 8, 8))
    output = spec.build().train()(torch.rand(3, 3, 8, 8))
    assert output.requires_grad
    assert [field and field.size for field in receptive_fields(spec.plan)][-1] == (3, 3)


@pytest.mark.slow
def test_exported_evaluation_has_nothing_random(tmp_path: Path) -> None:
    module = assemble(spec_of(tmp_path, drop=0.2, columns=2, widths=[4]).plan).eval()
    images = torch.randn(2, 3, 16, 16)
    exported = torch.export.export(module, (images,), strict=False)
    names = {str(node.target) for node in exported.graph.nodes}
    assert not [name for name in names if "rand" in name or "bernoulli" in name or "uniform" in name]
    buffer = io.BytesIO()
    torch.export.save(exported, buffer)
    buffer.seek(0)
    torch.testing.assert_close(torch.export.load(buffer).module()(images), module(images))


NETWORK: dict[str, Any] = {"archspec": 1, "input": [4]}


@pytest.mark.parametrize(
    ("node", "message", "help"),
    [
        (
            {"branch_factors": {"columns": [0, 4], "channels": 2}},
            "`columns` of `branch_factors` has column 4, but those drawn are 0 to 3",
            None,
        ),
        (
            {"branch_factors": {"columns": [2, 1, 2], "channels": 2}},
            "`columns` of `branch_factors` has column 2 twice: each branch is another one",
            None,
        ),
        (
            [{"reshape": [2, 2]}, {"branch_factors": {"columns": [0, 1], "channels": 2}}],
            "`branch_factors` needs a value for each of two or more columns, but its input is 2×2",
            "take what `draw_column` gives",
        ),
        (
            {"branch_factors": {"columns": [0], "channels": 2}},
            "`columns` of `branch_factors` must be a list of 2 to 64 values, each an integer from 0 to 63, not the list [0]",
            None,
        ),
        ({"draw_column": 1}, "`columns` of `draw_column` must be an integer from 2 to 64, not the number 1", None),
        (
            {"draw_column": {"columns": 4, "p": 1.5}},
            "`p` of `draw_column` must be a number from 0 to 1, not the number 1.5",
            None,
        ),
    ],
)
def test_wrong_columns(node: Any, message: str, help: str | None) -> None:
    with pytest.raises(SpecError) as caught:
        archspec.from_dict(NETWORK | {"network": [node]})
    (found,) = caught.value.diagnostics
    assert (found.message, found.help) == (message, help)
