"""An image becomes regions: SLIC, or a square grid as their control; a module `NAME_regions` each."""
