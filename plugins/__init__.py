"""Plugins: one file (or folder) each, reached by name from the configuration, never importing one another.

A plugin subclasses `proxy.plugin.Plugin`, names its options in a frozen dataclass, and overrides the hooks it needs.
It imports only `proxy.plugin`, `proxy.exchange`, `proxy.errors`, `proxy.ports`, `proxy.stats` and `proxy.detection`,
and reaches the world through its kit.
"""
