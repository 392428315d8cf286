"""Measurements, and the simulated provider that they and the tests run against."""
