"""Simulation of designs: problems with test benches, and the programs that judge answers to them."""
