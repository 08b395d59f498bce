"""One call of a command: its options resolved, its job called, the end of it turned into an exit status."""

import logging
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from hsmix_gen.pipeline.jobs.run import Finished
    from hsmix_gen.schemas.config import RunConfig

EXIT_PROBLEM = 1


class CommandCall:
    """The options that all jobs share, resolved; calls the job and turns its ends into exit statuses."""

    def __init__(
        self,
        options: dict[str, Any],
        *,
        base: Callable[[], dict[str, Any] | None] = lambda: None,
        cache: Path | None = None,
        bound: Callable[[], Mapping[str, Any]] = dict,
        mixes: bool = True,
    ) -> None:
        from hsmix_gen.pipeline.execution.progress import make_reporter

        self._verbose = options.pop("verbose")
        quiet = options.pop("quiet")
        progress, log_format = options.pop("progress"), options.pop("log_format")
        self._config_file, self._overrides = options.pop("config_file"), options.pop("overrides")
        self._options = {name: value for name, value in options.items() if value not in (None, ())}
        self._base, self._cache, self._bound, self._mixes = base, cache, bound, mixes
        self.reporter = make_reporter("none" if quiet else progress, log_format)

    @cached_property
    def config(self) -> "RunConfig":
        """The configuration; a comparison has one for each name instead."""
        return mended(lambda: self._resolve(self._base(), self._cache))  # type: ignore[no-any-return]

    def _resolve(self, base: dict[str, Any] | None, cache: Path | None) -> "RunConfig":
        from hsmix_gen.pipeline.cli.config_resolution import resolve

        def resolved(values: Mapping[str, Any] | None) -> "RunConfig":
            return resolve(
                file=self._config_file,
                overrides=self._overrides,
                options=self._options,
                base=values,
                mixes=self._mixes,
            )

        if cache is None:
            return resolved(base)
        from hsmix_gen.pipeline.features.feature_choice import resolve_on_cache

        return resolve_on_cache(cache, resolved, self._bound())

    def variants(self, names: str) -> "dict[str, RunConfig]":
        """Return a configuration for each name of a comparison."""
        given = [name for name in ("method", "control") if name in self._options]
        if given:
            raise click.UsageError(f"--compare names methods and controls itself; leave out --{given[0]}")
        from hsmix_gen.pipeline.cli.config_resolution import resolve_compared

        return mended(  # type: ignore[no-any-return]
            lambda: resolve_compared(names, file=self._config_file, overrides=self._overrides, options=self._options)
        )

    def call(self, work: Callable[[], Any]) -> Any:
        """Return what the work returns; end the process with the right status where it does not."""

        def closed_after() -> Any:
            with closing(self.reporter):  # the screen is tidy before the last line is written to it
                return work()

        return mended(closed_after, verbose=self._verbose)

    def show(self, finished: "Finished") -> None:
        """Print the summary of a finished run."""
        from hsmix_gen.pipeline.jobs.summary import summary_text

        click.echo(mended(lambda: summary_text(finished)))


def _of_the_system(error: OSError) -> str:
    """Return the file that an error of the system names, its reason, and what is to be done."""
    if error.filename is None or error.strerror is None:
        return f"{' '.join(str(error).split())}; mend it"
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if name is not None]
    shown = " ".join(" or ".join(names).split())
    return f"{shown} cannot be read or written ({error.strerror}); check its disk and permissions"


def mended(work: Callable[[], Any], *, verbose: bool = False) -> Any:
    """Return what the work returns; errors that a user can mend become one line, interrupts their status."""
    from hsmix_gen.pipeline.execution.signals import ended_by_signals, report_stop, signal_of
    from hsmix_gen.schemas.errors import HsmixError

    # An interrupt leaves tasks of Zarr and fsspec behind; asyncio would print the traceback of each that fails then.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    try:
        with ended_by_signals():
            return work()
    except BaseException as error:
        number = signal_of(error)
        if number is not None:
            sys.exit(report_stop(number))
        if isinstance(error, OSError):
            click.echo(f"error: {_of_the_system(error)}, then run the same command again", err=True)
        elif isinstance(error, HsmixError) and not verbose:
            click.echo(f"error: {' '.join(str(error).split())}", err=True)
        else:
            raise
        sys.exit(EXIT_PROBLEM)
