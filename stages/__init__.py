"""Pure computation: arrays and records in, arrays and records out."""
