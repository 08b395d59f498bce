"""``hsmix-gen``, and ``python -m hsmix_gen.pipeline``, which is the same."""

from hsmix_gen.pipeline.execution.safe_path import import_from_installation


def main() -> None:
    """Run the command line."""
    import_from_installation()
    # Only now: these import libraries, and none of them may come from the folder of a dataset.
    from hsmix_gen.pipeline.cli import standard_streams
    from hsmix_gen.pipeline.cli.commands import main as run

    with standard_streams.kept():
        run()


if __name__ == "__main__":
    main()
