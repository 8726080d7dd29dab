rule tokenizer_panel:
    input:
        action("tokenizer_panel.json"),
        tokenizer=artifact("tokenizer"),
        domain_test=artifact("corpus/domain", "test.jsonl"),
        general_test=artifact("corpus/general", "test.jsonl"),
        model=artifact(panel.model),
    output:
        sealed("tokenizer_panel.json"),
    params:
        **parameters(panel.job(training_gpu, rates.assumed(training_gpu))),
        plugins=[settings.base.family_module],
    resources:
        **site.cpu,
    threads: 2
    log:
        "logs/tokenizer_panel.json.log",
    conda:
        "../envs/nemo.yaml"
    shell:
        build("scripts/tokenizer_panel.py")
