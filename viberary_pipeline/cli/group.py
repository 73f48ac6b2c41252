"""The group of all commands: what becomes of exceptions, of signals, and of letters that a terminal lacks."""

import logging
import signal
import sys
from typing import Any

import click

from viberary_pipeline import __version__
from viberary_pipeline.errors import ViberaryError, out_of_room


def _redis_errors() -> tuple[type[Any], ...]:
    """What redis-py raises, without importing it before it is needed."""
    module = sys.modules.get("redis")
    return (module.RedisError,) if module else ()


class _Listing(click.Group):
    """Lists each of its commands with the whole first sentence of its help; click would cut it to one line."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        shown = [(name, command) for name, command in sorted(self.commands.items()) if not command.hidden]
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(limit=500)) for name, command in shown])


class Group(_Listing):
    """Turns the exceptions of the pipeline into a message and their exit code."""

    group_class = _Listing

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ViberaryError as error:
            click.echo(f"viberary: {error}", err=True)
            ctx.exit(error.exit_code)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("viberary_pipeline"):
                raise
            click.echo(
                f"viberary: This command needs a package that is not installed\n  expected:   the module {error.name}\n"
                "  found:      it is not installed\n"
                "  what to do: pip install 'viberary-pipeline[web]' to search and serve, '[pipeline]' to build",
                err=True,
            )
            ctx.exit(1)
        except _redis_errors() as error:
            from viberary_pipeline.redis_server.failures import explain

            click.echo(f"viberary: {explain(error)}", err=True)
            ctx.exit(1)
        except BrokenPipeError:
            # The reader of our output left (`viberary search ... | head`): nothing went wrong.
            sys.stderr.close()
            ctx.exit(0)
        except OSError as error:
            if (full := out_of_room(error)) is None:
                raise
            click.echo(f"viberary: {full}", err=True)
            ctx.exit(full.exit_code)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="viberary")
@click.option("-v", "--verbose", is_flag=True, help="Show debug messages.")
def main(verbose: bool) -> None:
    """Find books by vibe: build, publish and search the index.

    State lies in VIBERARY_HOME (default: var/). Every setting is an environment variable; docs/settings.md lists them.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a background job of a script
        signal.signal(signal.SIGINT, _heed_sigterm_alone)
    for stream in (sys.stdout, sys.stderr):
        # A title that the terminal's encoding lacks is shown escaped; it does not end a batch of queries.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )


def _heed_sigterm_alone(number: int, _: object) -> None:
    # Dagster gives SIGTERM the handler of SIGINT. Were that to ignore, nothing but SIGKILL would end a build.
    if number == signal.SIGTERM:
        raise KeyboardInterrupt
