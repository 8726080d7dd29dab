rule tokenizer:
    input:
        action("tokenizer"),
        base=wiring.base_vocabulary,
        domain=artifact("corpus/domain", "train.jsonl"),
        general=artifact("corpus/general", "train.jsonl"),
        domain_test=artifact("corpus/domain", "test.jsonl"),
        general_test=artifact("corpus/general", "test.jsonl"),
    output:
        sealed("tokenizer"),
    params:
        **parameters(settings.tokenizer),
        plugins=[settings.tokenizer.method_module],
    resources:
        **site.cpu,
    threads: 2
    log:
        "logs/tokenizer.log",
    conda:
        "../envs/data.yaml"
    shell:
        build("scripts/tokenizer.py")
