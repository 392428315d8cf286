"""Embeddings: inputs whose vectors are known are not sent again; single ones that come together go out as one."""
