"""``python -m hsmix_gen.pipeline`` is ``hsmix-gen``."""

from hsmix_gen.pipeline.cli.commands import main

main()
