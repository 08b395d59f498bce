"""What names and places of files say."""
