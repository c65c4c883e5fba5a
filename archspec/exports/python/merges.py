"""The classes of merges that stand within a sequence: what a file holds of them."""

from __future__ import annotations

_HEAD = '''class {name}(Merge):
    """{doc}"""

    def forward(self, x: Tensor) -> Tensor:
'''
_FOLD = "        return reduce({function}, [branch(x) for branch in self.children()])"

MERGES = {
    "Merge": '''class Merge(nn.Module):
    """Branches that all take one input."""

    def __init__(self, *branches: nn.Module, **named: nn.Module) -> None:
        super().__init__()
        for key, branch in (*enumerate(branches), *named.items()):
            self.add_module(str(key), branch)''',
    "Concat": _HEAD.format(name="Concat", doc="Joins the outputs of its branches along the channels.")
    + "        return torch.cat([branch(x) for branch in self.children()], dim=1)",
    "Add": _HEAD.format(name="Add", doc="Adds the outputs of its branches.") + _FOLD.format(function="torch.add"),
    "Subtract": _HEAD.format(name="Subtract", doc="Subtracts the output of its second branch from that of its first.")
    + _FOLD.format(function="torch.sub"),
    "Multiply": _HEAD.format(name="Multiply", doc="Multiplies the outputs of its branches.")
    + _FOLD.format(function="torch.mul"),
    "Mean": _HEAD.format(name="Mean", doc="The mean of the outputs of its branches.")
    + """        outputs = [branch(x) for branch in self.children()]
        return reduce(torch.add, outputs) / len(outputs)""",
    "Maximum": _HEAD.format(name="Maximum", doc="The largest of the outputs of its branches, value by value.")
    + _FOLD.format(function="torch.maximum"),
    "Matmul": _HEAD.format(name="Matmul", doc="The matrix product of the outputs of its branches.")
    + _FOLD.format(function="torch.matmul"),
}
