"""Files that serve an exported model in NVIDIA NIM, generated from the model: settings and start scripts."""
