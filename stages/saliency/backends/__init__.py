"""Saliency backends, a module each: how a map is made, and what its bytes depend on."""
