"""The dataset on disk: records, members, shards of each format."""
