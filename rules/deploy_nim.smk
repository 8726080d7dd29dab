rule deploy_nim:
    input:
        action("deploy/nim"),
        **wiring.exported_adapter_folder,
        model=artifact("export/hf"),
        certificate=artifact("export/certificate.json"),
    output:
        sealed("deploy/nim"),
    params:
        **parameters(settings.deploy),
    resources:
        **site.cpu,
    log:
        "logs/deploy/nim.log",
    conda:
        "../envs/serve.yaml"
    shell:
        build("scripts/deploy_nim.py")
