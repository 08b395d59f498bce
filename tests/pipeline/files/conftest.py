"""Tests here use the S3 server on loopback."""

from tests.pipeline.s3_server import bucket, in_turn, proxy, s3_server

__all__ = ["bucket", "in_turn", "proxy", "s3_server"]
