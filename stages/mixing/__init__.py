"""One sample: draws, geometry, regions, guard, and the mix itself."""
