"""What a step is: digests, manifests, actions, and the identity of code, environments and containers."""
