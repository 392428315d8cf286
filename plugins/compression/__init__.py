"""Compression: sends tool results and documents shorter, by kind of content and without loss; never longer."""
