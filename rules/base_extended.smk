rule base_extended:
    input:
        action("base_extended"),
        base=artifact("base"),
        tokenizer=artifact("tokenizer", settings.tokenizer.file_name),
    output:
        sealed("base_extended"),
    params:
        **parameters(settings.base_extended),
        plugins=[settings.base.family_module],
    resources:
        **site.cpu,
    log:
        "logs/base_extended.log",
    conda:
        "../envs/nemo.yaml"
    shell:
        build("scripts/base_extended.py")
