rule base_gguf:
    input:
        action("base"),
        source=artifact(f"sources/{settings.base.source}"),
    output:
        sealed("base"),
    params:
        **parameters(settings.base, tokenizer=settings.tokenizer.file_name),
        plugins=[settings.base.family_module, f"{settings.base.family_module}.gguf"],
    resources:
        **site.cpu,
    log:
        "logs/base.log",
    conda:
        "../envs/nemo.yaml"
    shell:
        build("scripts/base_gguf.py")
