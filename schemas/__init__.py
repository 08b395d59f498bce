"""What the data is: configuration, records, array contracts, table schemas, digests and errors."""
