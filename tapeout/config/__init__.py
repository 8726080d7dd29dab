"""Typed configuration: one module for each section, and the parameter models of the rules that use it."""
