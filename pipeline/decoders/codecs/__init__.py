"""Bytes of TIFF and JPEG 2000 become arrays, without a word of whose they are."""
