"""The composition root: settings to objects to processes. Imported by nobody but the command line and tests."""
