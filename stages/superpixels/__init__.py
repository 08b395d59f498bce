"""An image becomes regions: SLIC, nested ones, or a square grid as their control; a module `NAME_regions` each."""
