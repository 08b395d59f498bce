"""Cache and plan become a finished dataset with its card and preview."""
