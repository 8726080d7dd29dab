"""Identity of a step: digests, manifests and actions, and the identity of code, environments and containers."""
