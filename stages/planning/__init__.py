"""Which samples are made, from which parents, in which shard."""
