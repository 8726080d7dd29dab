rule instructions:
    input:
        action("instructions/{name}"),
        sources=lambda wildcards: [artifact(f"sources/{name}") for name in settings.set_sources(wildcards.name)],
    output:
        sealed("instructions/{name}"),
    wildcard_constraints:
        name=wiring.instruction_sets,
    params:
        **wiring.instruction_set_parameters,
        plugins=lambda wildcards: [settings.format_module(wildcards.name)],
    resources:
        **site.cpu,
    threads: 8
    log:
        "logs/instructions/{name}.log",
    conda:
        lambda wildcards: f"../envs/{settings.format_environment(wildcards.name)}.yaml"
    shell:
        build("scripts/instructions.py")


rule encoded:
    input:
        action("encoded/{name}"),
        **wiring.chat_template,
        rows=lambda wildcards: artifact(f"instructions/{wildcards.name}"),
        tokenizer=artifact("tokenizer", settings.tokenizer.file_name),
    output:
        sealed("encoded/{name}"),
    wildcard_constraints:
        name=wiring.instruction_sets,
    params:
        **parameters(settings.encoding()),
    resources:
        **site.cpu,
    log:
        "logs/encoded/{name}.log",
    conda:
        "../envs/data.yaml"
    shell:
        build("scripts/encoded.py")


rule instruction_sets:
    input:
        [artifact(f"instructions/{name}") for name in sorted(settings.instructions.sets)],
    localrule: True


rule encodings:
    input:
        [artifact(f"encoded/{name}") for name in sorted(settings.instructions.sets)],
    localrule: True
