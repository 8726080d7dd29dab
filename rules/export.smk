rule export_hf:
    input:
        action("export/hf"),
        **probed,
        model=artifact("sft/model"),
    output:
        sealed("export/hf"),
    params:
        **parameters(
            settings.export,
            tokenizer=settings.sources[settings.tokenizer.source].attribution,
            trained_on={
                name: settings.sources[name].attribution
                for name in (*settings.corpus.domain.train, *settings.corpus.general.sources)
            },
        ),
    resources:
        **site.cpu,
        parameters=estimates.extended.parameters,
        typical_seconds=estimates.copying_seconds(15),
        typical_bytes=estimates.extended_bytes,
    log:
        "logs/export/hf.log",
    conda:
        "../envs/nemo.yaml"
    container:
        nemo_image
    shell:
        build("scripts/export_hf.py")
