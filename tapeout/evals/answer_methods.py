"""Definitions of the measures of answers, for the last section of the evaluation report."""

from tapeout.evals.section import Method
from tapeout.evals.wording import MIN_UNITS, percent

NEAR = 0.5
"""Minimum ROUGE-L of an answer that is not exact but a near miss."""
MOSTLY = 0.5
"""Minimum score at which instructions count as followed, not just partly followed."""
MAX_EXACT_WORDS = 20
"""Median length of expected answers up to which exact match decides the verdict; longer ones are rarely exact."""

METHODS = (
    Method(
        "Loss of expected answers",
        "Mean negative natural logarithm of the probability of each token of the expected answer and of what ends it, "
        "given the prompt. Tokens of the prompt do not count, as in training. Of a conversation it is the last answer, "
        "given all turns before it.",
        "loss = −∑ ln p(answer token | prompt, answer so far) ÷ number of answer tokens",
        "The loss of first, second and later answers is that of the conversations, over all answers that are trained "
        "on and fit into the context.",
    ),
    Method(
        "Exact match",
        "Fraction of answers that equal the expected one after outer whitespace is removed and each inner run of "
        "whitespace is replaced by one space. Case and punctuation count, because they carry meaning in Verilog. "
        "Answers are decoded greedily up to the end token or a fixed number of tokens; prompts are the same for all "
        "models.",
    ),
    Method(
        "ROUGE-L",
        "F1 of the longest common subsequence of words, which are runs of letters and digits in lower case (Lin 2004). "
        "With c words in common,",
        "P = c ÷ words generated, R = c ÷ words expected, ROUGE-L = 2PR ÷ (P + R)",
        "It ignores punctuation, so read it together with exact match. An answer that is not exact is called a near "
        f"miss from {percent(NEAR, 0)}, below it a failure.",
    ),
    Method(
        "Token F1",
        "F1 of the tokens of both answers regardless of their order. A token is a word, or a character that is neither "
        "part of a word nor whitespace; case counts. Where a row has several accepted answers, each score of a "
        "generated answer is that against the nearest.",
    ),
    Method(
        "SQuAD exact match and F1",
        "As in the official script (Rajpurkar et al. 2016 and 2018): after lower-casing and without punctuation and "
        "the words a, an and the, whether the answers are equal, and F1 of their words. Exact match and token F1 are "
        "stricter.",
    ),
    Method(
        "End and form of answers",
        "An answer that the model ends itself ends with any end token or mark before the limit. The right end is that "
        "of the expected answer; an answer with other control tokens, with their names, or with a mark of the prompt "
        "is not well formed.",
    ),
    Method(
        "Verdict on instructions",
        "Exact match of the exported model is above that of the models before it, and each gain is clear by its "
        f"corrected p-value; below {percent(MOSTLY, 0)}, instructions count as followed only in part. ROUGE-L takes "
        f"its place if the median of the expected answers is above {MAX_EXACT_WORDS} words. Fewer than {MIN_UNITS} "
        "rows give no verdict.",
    ),
)
