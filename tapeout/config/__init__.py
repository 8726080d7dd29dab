"""Typed configuration, one module per section; the modules import nothing of each other, so that one section never rebuilds another's steps."""
