"""Files of Hugging Face repositories at a commit.

huggingface_hub gives the address; the transfer is the same resumable, verified one as everywhere. The token, the only
secret, comes from the environment and never from a login that lies in somebody's home; a redirect to another host
does not carry it along.
"""

import os

from huggingface_hub import hf_hub_url

from tapeout.config.sources import HubSource
from tapeout.sources.download import Remote

REPOSITORY_TYPES = {"hf_model": "model", "hf_dataset": "dataset"}


def locate(source: HubSource) -> list[Remote]:
    """Addresses of the record's files, in the record's order; HF_ENDPOINT and HF_TOKEN are honoured."""
    token = os.environ.get("HF_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    endpoint = os.environ.get("HF_ENDPOINT")
    kind = REPOSITORY_TYPES[source.kind]
    return [
        Remote(
            url=hf_hub_url(source.repository, file.path, repo_type=kind, revision=source.revision, endpoint=endpoint),
            name=file.path,
            sha256=file.sha256,
            size=file.size,
            headers=headers,
        )
        for file in source.files
    ]
