"""Kinds of base models, one module each: the parameters of the rule in ``rules/base_<kind>.smk``."""
