"""Whether a finished dataset is sound."""
