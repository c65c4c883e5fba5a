"""A summary as text, as a table of exact figures, and as JSON; `archspec summary` and `build --summary` print it."""

from __future__ import annotations

from typing import Any

from archspec.commands._common import lines, result
from archspec.commands._tables import Table, as_text as table_as_text, terminal_width
from archspec.foundation.errors import escape_line
from archspec.foundation.figures import show_bytes, show_macs_in_column
from archspec.foundation.shapes import show
from archspec.plan.plan import Plan
from archspec.views.memory import inference_memory, kept_bytes, training_memory
from archspec.views.summary import SummaryRow, summary

WIDE = 110
"""Columns of a terminal from which all figures are shown whole."""


def as_text(plan: Plan, *, by: str = "block", depth: int | None = None) -> str:
    """The tree below the network's line, with totals; narrow terminals get figures in larger units."""
    rows = summary(plan, by=by, depth=depth)
    width = terminal_width()
    narrow = width is not None and width < WIDE
    total = _total(plan)
    cells = [_cells(row, plan, total, narrow=narrow) for row in rows]
    kept = show_bytes(total["kept"])
    params = show_macs_in_column(plan.params) if narrow else f"{plan.params:,}"
    macs = show_macs_in_column(plan.macs)
    end = [
        "total",
        "",
        show(plan.output),
        params,
        "100%" if plan.params else "-",
        macs,
        "100%" if plan.macs else "-",
        kept,
        "",
        "",
    ]
    headings = [
        "part",
        "line",
        "output",
        "params" if narrow else "parameters",
        "",
        "MACs",
        "",
        "kept",
        "field",
        "stride",
    ]
    table = Table(headings, [*cells, end], "<><>>>>>>>", spare=(4, 6, 9, 1, 7, 8))
    step = training_memory(plan, 1, "sgd", {"momentum": 0.9})
    needs = f"one sample in fp32: {show_bytes(inference_memory(plan))} in inference, "
    needs += f"{show_bytes(step.peak)} in training by SGD with momentum\n"
    for name in step.unknown:
        needs += f"note: `{name}` does not say what it keeps: its input and output are counted\n"
    return f"{lines([plan])[0]}\n{table_as_text(table)}{needs}"


def as_table(plan: Plan, *, by: str = "block", depth: int | None = None) -> Table:
    """The rows with exact figures: MACs, and bytes that are kept."""
    total = _total(plan)
    headings = ["path", "kind", "level", "times", "file", "line", "output", "params", "params_share", "macs"]
    headings += ["macs_share", "kept", "kept_share", "receptive_field", "stride", "shared_with"]
    rows = []
    for row in summary(plan, by=by, depth=depth):
        shares = {name: _share(getattr(row, name), total[name]) for name in total}
        figures = [str(row.params), shares["params"], str(row.macs), shares["macs"], str(row.kept), shares["kept"]]
        places = [row.path, row.kind, str(row.level), str(row.times), row.file, str(row.line), show(row.output)]
        rows.append([*places, *figures, row.receptive_field, row.stride, row.shared_with or ""])
    return Table(headings, rows, "<<>><>" + "<" + ">" * 8 + "<")


def as_json(plan: Plan, spec: str, *, by: str = "block", depth: int | None = None) -> dict[str, Any]:
    """The plan's figures as `check` gives them, its rows, and its memory."""
    step = training_memory(plan, 1, "sgd", {"momentum": 0.9})
    memory = {"kept": kept_bytes(plan), "inference": inference_memory(plan), "training": step.to_dict()}
    return result(plan, spec) | {"rows": [row.to_dict() for row in summary(plan, by=by, depth=depth)], "memory": memory}


def _total(plan: Plan) -> dict[str, int]:
    return {"params": plan.params, "macs": plan.macs, "kept": kept_bytes(plan)}


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.4f}" if whole else "0"


def _percent(part: int, whole: int) -> str:
    if not part or not whole:
        return "-"
    return f"{100 * part / whole:.0f}%" if 200 * part >= whole else "<1%"


def _cells(row: SummaryRow, plan: Plan, total: dict[str, int], *, narrow: bool) -> list[str]:
    place = str(row.line) if row.file == plan.file or narrow else f"{escape_line(row.file)}:{row.line}"
    parent = row.path.split(".")
    name = ".".join(parent[-row.depth :]) if row.depth else row.path
    label = f"{'  ' * row.level}{escape_line(name)}{f' ×{row.times}' if row.times > 1 else ''} {row.kind}"
    params = show_macs_in_column(row.params) if narrow else f"{row.params:,}"
    params = params if row.shared_with is None else f"of {escape_line(row.shared_with)}"
    macs = "-" if row.aux else show_macs_in_column(row.macs)
    shares = (_percent(row.params, total["params"]), "-" if row.aux else _percent(row.macs, total["macs"]))
    figures = [params, shares[0], macs, shares[1], show_bytes(row.kept), row.receptive_field, row.stride]
    return [label, place, show(row.output), *figures]
