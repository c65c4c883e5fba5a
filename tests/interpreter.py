"""A network run from its plan's JSON alone: the layers are the module's, what leads from one to the next is the JSON's."""

from __future__ import annotations

import operator
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn


def interpreted(data: Any, module: nn.Module, *images: Tensor) -> dict[str, Tensor]:
    """The output by the name "", and what is given beside it by its name: outputs, then auxiliary classifiers."""
    graph = data["graph"]
    tensors: dict[int, Tensor] = {}
    for node in graph["nodes"]:
        if node["aux"] is not None and not module.training:
            continue
        given = [tensors[source] for source in node["sources"]]
        match node["kind"]:
            case "input":
                tensor = images[list(data["inputs"]).index(node["name"])]
            case "layer":
                (tensor,) = given
                tensor = module.get_submodule(node["module"])(tensor)
            case "split":
                (whole,) = given
                tensor = whole.narrow(node["axis"] + 1, node["start"], node["stop"] - node["start"])
            case "concat":
                tensor = torch.cat(given, node["axis"] + 1)
            case "add":
                tensor = reduce(operator.add, given)
            case "subtract":
                first, second = given
                tensor = first - second
            case "multiply":
                tensor = reduce(operator.mul, given)
            case "mean":
                tensor = reduce(operator.add, given) / len(given)
            case "maximum":
                tensor = reduce(torch.maximum, given)
            case "matmul":
                first, second = given
                tensor = first @ second
            case "attend":
                query, key, value = (one.unflatten(-1, (node["heads"], -1)).transpose(1, 2) for one in given[:3])
                mask = given[3] if len(given) > 3 else torch.zeros(query.shape[-2], key.shape[-2])
                if node["causal"]:
                    mask = mask.masked_fill(torch.ones(mask.shape[-2:]).tril() == 0, -torch.inf)
                if node["dropout"]:
                    scores = query * query.shape[-1] ** -0.5 @ key.transpose(2, 3) + mask
                    weights = nn.functional.dropout(scores.softmax(-1), node["dropout"], module.training)
                    tensor = weights @ value
                else:
                    masked = node["causal"] or len(given) > 3
                    attend = nn.functional.scaled_dot_product_attention
                    tensor = attend(query, key, value, attn_mask=mask if masked else None)
                tensor = tensor.transpose(1, 2).flatten(2)
            case "save" | "load" | "output":  # nothing takes their tensors but by the node that made them
                (tensor,) = given
                assert tuple(tensor.shape[1:]) == tuple(node["output"])
                continue
        assert tuple(tensor.shape[1:]) == tuple(node["output"])
        tensors[node["id"]] = tensor
    beside = graph["outputs"] | (graph["aux"] if module.training else {})
    return {"": tensors[graph["output"]], **{name: tensors[id] for name, id in beside.items()}}


def given_by(module: nn.Module, *images: Tensor) -> dict[str, Tensor]:
    """The same of the module itself, in the order of execution."""
    result = module(*images)
    return {"": result[0], **result[1]} if isinstance(result, tuple) else {"": result}
