"""Who runs units of work: serial or Ray, isolation of failures, progress, signals."""
