"""Talk to a model: the OpenAI-compatible server and the terminal of ``tapeout serve`` and ``tapeout chat``."""
