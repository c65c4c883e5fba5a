"""A spec while it is written: the text of an editor, checked whether or not it is saved."""

from __future__ import annotations

from collections.abc import Sequence

from archspec.foundation import reading, source
from archspec.foundation.errors import Fault
from archspec.language.extends import resolve_extends
from archspec.partial import beginning
from archspec.spec import Checked, SpecFile, name_of


def check_text(
    content: bytes,
    path: str,
    variants: Sequence[str | None] | None = None,
    shown: str | None = None,
    *,
    parsed: source.Value | Fault | None = None,
) -> Checked:
    """Check what an editor holds of a file, whether or not it is saved.

    Where it is not YAML, what stands before the fault is known all the same: `Checked.partial`.

    Args:
        content: The text, in UTF-8.
        path: Where the file lies, or will; what it extends is looked for there.
        variants: Those to elaborate; all of them by default, and the file without one.
        shown: How messages call it, if not by its path.
        parsed: What `reading.read` made of the text, or why it could not, where that is known.

    Raises:
        UsageError: A file that it extends cannot be read.
    """
    shown = path if shown is None else shown
    try:
        if isinstance(parsed, Fault):
            raise parsed
        tree = resolve_extends(reading.read(content, shown) if parsed is None else parsed, path, shown)
    except Fault as fault:
        known = beginning(content, path, shown, name_of(shown), fault)
        return Checked((), (fault.diagnostic(),), (), partials=() if known is None else (known,))
    return SpecFile(shown, name_of(shown), tree).check(variants)
