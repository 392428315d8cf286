"""Compression: texts of a call made shorter without loss, by kind of content, counted before and after."""
