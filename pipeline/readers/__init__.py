"""One layout of folders becomes items, without decoding pixels."""
