"""Find a vocabulary in a fetched source."""

from pathlib import Path, PurePosixPath

from tapeout.data.io.archives import is_archive, read_archive
from tapeout.encoder.errors import InvalidVocabulary
from tapeout.encoder.extendable import Vocabulary
from tapeout.encoder.load_vocabulary import read_vocabulary, settings_beside


def vocabulary_in_source(folder: Path, name: str) -> Vocabulary:
    """Return the vocabulary in the file ``name`` of a fetched source or of a model folder.

    The file, and any that state the roles of its pieces, are in the folder, or in the one archive there (wheel, zip,
    tar).

    Raises:
        InvalidVocabulary: there is no such file, or its merges cannot be continued.
        UnreadableFile: the archive cannot be read.
    """
    wanted = {name: name} | {str(PurePosixPath(name).with_name(beside)): beside for beside in settings_beside(name)}
    files = {wanted[path]: (folder / path).read_bytes() for path in wanted if (folder / path).is_file()}
    archives = [path for path in sorted(folder.iterdir()) if path.is_file() and is_archive(path)]
    if name not in files and len(archives) == 1:
        files = {
            wanted[member]: content for member, content in read_archive(archives[0], lambda member, _: member in wanted)
        }
    if name in files:
        return read_vocabulary(name, files.pop(name), files)
    there = ", ".join(path.name for path in sorted(folder.iterdir())) or "none"
    raise InvalidVocabulary(
        f"The source {folder.name} has no file {name}, neither in its folder nor in its archive (files: {there}).",
        "Set tokenizer.source to the source of the base tokenizer, and tokenizer.model_file to the path of its file in "
        "that source's folder or in its one archive.",
    )
