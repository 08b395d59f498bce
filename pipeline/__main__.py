"""``hsmix-gen``, and ``python -m hsmix_gen.pipeline``, which is the same."""

import sys

from hsmix_gen.pipeline.execution.safe_path import import_from_installation


def main() -> None:
    """Run the command line."""
    import_from_installation()
    # Only now: what is imported must not come from the folder of a dataset. Signals next: libraries take a while.
    from hsmix_gen.pipeline.cli import standard_streams
    from hsmix_gen.pipeline.execution.signals import ending_command

    standard_streams.open_closed()
    with ending_command(_give_back_leases):
        from hsmix_gen.pipeline.cli.commands import cli

        with standard_streams.kept():
            cli(prog_name="hsmix-gen")


def _give_back_leases() -> None:
    # Nobody holds one who has not loaded the module.
    lease = sys.modules.get("hsmix_gen.pipeline.files.lease")
    if lease is not None:
        lease.give_back_all()


if __name__ == "__main__":
    main()
