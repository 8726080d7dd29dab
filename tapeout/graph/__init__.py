"""The content layer: identifies build steps by content, and runs each of them once."""
