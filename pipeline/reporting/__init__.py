"""Is this dataset what I wanted? What was measured becomes findings with a way out, a page and a JSON file."""
