"""Typed configuration, one module per section, so that a change of one never rebuilds the steps of another."""
