"""Bytes to exchange and back, pure: one file per dialect, no sockets, no clock."""
