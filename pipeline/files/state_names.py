"""Names in the state of an output, which lies in a folder inside it."""

STATE = ".hsmix"
"""The folder; unless another is named, the cache lies in it too."""
SHARD_RECORDS = "shards"
"""Folder with the record of each finished shard."""
DESCRIBED = "described.json"
"""Sizes and checksums of the files that describe the dataset."""
