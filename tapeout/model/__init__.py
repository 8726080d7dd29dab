"""The tiny Llama of the default config, in plain PyTorch and Hugging Face layout."""
