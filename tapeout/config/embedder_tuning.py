"""Parameters of the fine-tuning of an embedding model; a separate module, so that it depends on no other section."""

from pydantic import Field

from tapeout.config.section import Section


class TuningJob(Section):
    """Parameters of the rule ``retrieval_tuning``: fine-tuning of the embedding model on questions about RTL."""

    max_pairs: int = Field(
        3_000, ge=2, description="Questions of training cores that are used at most, chosen by digest."
    )
    epochs: int = Field(1, ge=1, description="Times that each question is used.")
    batch_size: int = Field(16, ge=2, description="Questions whose passages are each other's negatives.")
    hard_negatives: int = Field(
        1, ge=0, description="Wrong passages of each question that BM25 ranks highest, as further negatives."
    )
    lr: float = Field(5e-5, gt=0, description="Highest learning rate; it rises linearly and falls linearly to zero.")
    warmup: float = Field(0.1, ge=0, lt=1, description="Fraction of the steps in which the learning rate rises.")
    weight_decay: float = Field(0.01, ge=0, description="Weight decay of AdamW, of matrices only.")
    grad_clip: float = Field(1.0, gt=0, description="Maximum norm of the gradient.")
    scale: float = Field(20.0, gt=0, description="Factor of cosine similarities before the softmax.")
    max_tokens: int = Field(256, ge=8, description="Tokens of a text that are read while training; the rest is cut.")
    seed: int = Field(1234, ge=0, description="Seed of the order and of dropout.")
    threads: int = Field(2, ge=1, description="Threads of PyTorch; another number adds floats in another order.")
