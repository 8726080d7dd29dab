rule shard:
    input:
        action("shards/{number}"),
        raw=artifact("raw.txt"),
    output:
        sealed("shards/{number}"),
    params:
        number=lambda wildcards: int(wildcards.number),
        lr=config["model"]["lr"],
        pause=config["model"]["pause"],
    log:
        "logs/shards/{number}.log",
    conda:
        "../envs/light.yaml"
    shell:
        build("scripts/shard.py")


rule merged:
    input:
        action("merged"),
        shards=[artifact("shards/0"), artifact("shards/1")],
        report=artifact("report.txt"),
    output:
        sealed("merged"),
    log:
        "logs/merged.log",
    conda:
        "../envs/light.yaml"
    shell:
        build("scripts/merged.py")
