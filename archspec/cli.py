"""The command line. Each command is a file in `archspec/commands/`, imported when it is run or listed."""

from __future__ import annotations

import errno
import gc
import io
import os
import stat
import sys
from typing import Any, NoReturn, TextIO

import click

from archspec import __version__
from archspec.foundation.errors import ArchspecError, escape, escape_line
from archspec.installation import require_own_packages
from archspec.threads import spin_briefly

# what modules make as they load is never garbage: looking for some took a twentieth of a short command's time
gc.set_threshold(50_000, 20, 20)

FAULT_OF_OURS = 70
FOLDER = os.path.join(os.path.dirname(__file__), "commands")


class Commands(click.Group):
    """Finds a command in the file of its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(file[:-3] for file in os.listdir(FOLDER) if file.endswith(".py") and not file.startswith("_"))

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.list_commands(ctx):
            return None
        from importlib import import_module

        command: click.Command = import_module(f"archspec.commands.{name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            from archspec.foundation.errors import join_words
            from archspec.foundation.spelling import did_you_mean

            known = self.list_commands(ctx)
            hint = did_you_mean(args[0], known) or f"the commands are {join_words(known)}"
            raise click.UsageError(f"There is no command `{args[0]}`: {hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="archspec")
def cli() -> None:
    """Convolutional networks from YAML specs: checked, counted, built, trained and compared.

    SPEC is a file's path (./mine.yaml), the name of a bundled spec or variant (googlenet, resnet50), or - for standard
    input.
    """


def main() -> NoReturn:
    """Run a command and exit: 0 done, 1 a spec is at fault, 2 usage or files, 70 our own fault, 130 or 143 signals."""
    sys.stdout, sys.stderr = _output(sys.stdout), _output(sys.stderr)
    spin_briefly()
    try:
        require_own_packages()
        status = cli.main(standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.message = escape_line(error.message)  # type: ignore[misc]
        error.show()
        status = 2
    except ArchspecError as error:
        prefix = "error: " if error.exit_status == 2 else ""
        click.echo(f"{prefix}{error}", err=True)
        status = error.exit_status
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        status = 130
    except OSError as error:  # a full disk, a folder that cannot be written to, …
        name = f": {error.filename}" if error.filename else ""
        click.echo(f"error: {escape_line(str(error.strerror or error) + name)}", err=True)
        status = 2
    except Exception as error:
        status = 2
        if _lacks_memory(error):
            click.echo(
                "error: there is not enough memory\n  help: a smaller network, input or batch needs less", err=True
            )
        elif message := _fault_of_plugin(error):
            click.echo(f"error: {escape(message)}", err=True)
        else:
            status = FAULT_OF_OURS
            click.echo(_our_fault(error), err=True)
    _close(sys.stdout)
    sys.exit(status if isinstance(status, int) else 0)


class _Pipe(io.FileIO):
    """An output whose reader may leave: what nobody reads is written nowhere, and nothing is wrong."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            return len(data)
        except OSError as error:  # a terminal that was closed
            if error.errno != errno.EIO or not self.terminal:
                raise
            return len(data)

    @property
    def terminal(self) -> bool:
        """Whether it is, or was, a terminal."""
        return stat.S_ISCHR(os.fstat(self.fileno()).st_mode)


def _output(stream: TextIO | None) -> TextIO:
    """A standard stream that may be closed, and that gives the code of a character which a terminal lacks."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.reconfigure(errors="backslashreplace")
    if stream.isatty() and os.name != "posix":
        return stream
    try:
        raw = io.BufferedWriter(_Pipe(stream.fileno(), "wb", closefd=False))
    except io.UnsupportedOperation:  # it is none of the system's
        return stream
    return io.TextIOWrapper(
        raw, stream.encoding, stream.errors, line_buffering=stream.line_buffering, write_through=stream.write_through
    )


def _close(stream: TextIO) -> None:
    """Leave nothing to write, so that Python does not fail at what could not be written already."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _lacks_memory(error: Exception) -> bool:
    said = str(error) if isinstance(error, RuntimeError) else ""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in said
        or "not enough memory" in said
    )


def _fault_of_plugin(error: Exception) -> str | None:
    plugins = sys.modules.get("archspec.plugins")
    return plugins.fault_of_plugin(error) if plugins else None


def _our_fault(error: Exception) -> str:
    """What to say of an error that no user caused; the traceback goes to a file that can be sent to us."""
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="archspec-", suffix=".txt", delete=False, encoding="utf-8") as file:
        file.write(f"archspec {__version__}: {' '.join(sys.argv)}\n\n")
        traceback.print_exception(error, file=file)
    return (
        f"error: archspec failed at something it should not fail at: {type(error).__name__}: {error}\n"
        f"  help: this is a fault of archspec; please report it with the file {file.name}"
    )


if __name__ == "__main__":
    main()
