"""Items become an inventory: ids, splits, facts, duplicates."""
