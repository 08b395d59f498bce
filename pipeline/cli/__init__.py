"""Click commands, their options and words."""
