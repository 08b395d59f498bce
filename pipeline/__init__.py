"""Reading, scheduling, writing and talking."""
