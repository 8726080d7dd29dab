"""Read and check the whole configuration before any rule runs; all errors are reported at once."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tapeout.config.comparison import Bounds
from tapeout.config.consistency import conflicts, trainings
from tapeout.config.messages import contradiction, dotted
from tapeout.config.origins import Origins
from tapeout.config.problems import InvalidConfig, Location, Problem
from tapeout.config.root import Settings
from tapeout.config.section import Section
from tapeout.config.site import FILE as SITE
from tapeout.config.site import Site
from tapeout.config.validation import check, outdated, overlap
from tapeout.config.yaml_files import ConfigFile, merge, read_file

DEFAULTS = "config/default.yaml"
SOURCES = "config/sources.yaml"


class Comparison(Section):
    """Configuration of which only the tolerances count."""

    comparison: Bounds = Bounds()


class Loaded(NamedTuple):
    """The configuration.

    Attributes:
        settings: the configuration itself.
        site: that of the site.
        combinations: the configuration with the choices of each combination of the sweep (``Sweep.combinations``).
    """

    settings: Settings
    site: Site
    combinations: Mapping[str, Settings]


def load_files(paths: Iterable[str | Path], overrides: Mapping[str, Any] | None = None) -> Loaded:
    """Return the configuration of files that are merged, a later one over an earlier one, and that of the site.

    Args:
        paths: the files.
        overrides: values of the command line (``--config``), which override those of all files.

    Raises:
        InvalidConfig: with all errors, each with its file and line.
    """
    files = read_files(paths)
    content: dict[str, Any] = {}
    for file in files:
        content = merge(content, file.content)
    content, origins = merge(content, overrides or {}), Origins(files, overrides)
    settings, problems = check_all(content, origins)
    file = content.get("site", SITE)
    site, wrong = _read_site(file, origins) if isinstance(file, str) else (None, [])
    problems += wrong
    if settings is not None and site is not None:
        problems += _layouts_fit_the_site(settings, site, origins)
    if settings is None or site is None or problems:
        raise InvalidConfig.of(problems)
    combinations = dict(_combinations(content, settings, origins))
    for name, varied in combinations.items():
        problems += _of_combination(name, _layouts_fit_the_site(varied, site, origins), origins)
    if problems:
        raise InvalidConfig.of(problems)
    return Loaded(settings, site, combinations)


def read_files(paths: Iterable[str | Path]) -> list[ConfigFile]:
    """Read configuration files.

    Raises:
        InvalidConfig: with the errors of all files that cannot be read.
    """
    files: list[ConfigFile] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            files.append(read_file(path))
        except InvalidConfig as error:
            problems += error.problems
    if problems:
        raise InvalidConfig.of(problems)
    return files


def load(config: Mapping[str, Any], origins: Origins | None = None) -> Settings:
    """Check a configuration; its key ``sources`` names one sources file or several.

    Args:
        config: the whole configuration.
        origins: where its values come from; they are extended by the sources files.

    Raises:
        InvalidConfig: with all errors.
    """
    settings, problems = check_all(config, origins or Origins())
    if settings is None or problems:
        raise InvalidConfig.of(problems)
    return settings


def check_all(config: Mapping[str, Any], origins: Origins) -> tuple[Settings | None, list[Problem]]:
    """Return the validated configuration with its sources, and all problems of both."""
    sources, problems = _read_sources(config.get("sources", SOURCES), origins)
    content = {**config, "sources": sources}
    invalid: list[Location] = [("sources",)] if problems else []
    if found := outdated(config, origins):
        return None, problems + found
    settings, found = check(Settings, content, origins, invalid)
    problems += found
    if settings is not None:
        for one in conflicts(settings):
            if not any(overlap(key, bad) for key in one.keys for bad in invalid):
                problems.append(contradiction(one.cause, one.fix, one.keys, origins))
    return settings, problems


def _combinations(content: Mapping[str, Any], settings: Settings, origins: Origins) -> Iterator[tuple[str, Settings]]:
    """Yield the name and the configuration of each combination of choices of the sweep.

    A part of a variant's choices may contradict itself; then no artifacts have its name.

    Raises:
        InvalidConfig: with all errors of the first variant that has some.
    """
    sweep = settings.sweep
    for name in sweep.combinations:
        varied = merge({**content, "sweep": {}}, sweep.overrides(name))
        read, problems = check_all(varied, origins)
        if read is not None and not problems:
            yield name, read
        elif name in sweep.variants:
            raise InvalidConfig.of(_of_combination(name, problems, origins))


def _of_combination(name: str, problems: Iterable[Problem], origins: Origins) -> list[Problem]:
    """Return problems that only a combination of the sweep has."""
    place = origins.place(("sweep", "axes"))
    return [Problem(f"with {name}: {problem.cause}", problem.fix, place, problem.key) for problem in problems]


def load_site(file: str) -> Site:
    """Read the site file.

    Raises:
        InvalidConfig: with all errors.
    """
    site, problems = _read_site(file, Origins())
    if site is None or problems:
        raise InvalidConfig.of(problems)
    return site


def load_bounds(paths: Iterable[str | Path]) -> Bounds:
    """Return the section ``comparison`` of the default configuration, if there is one, with files merged over it.

    Raises:
        InvalidConfig: a file cannot be read, or with all errors of the section.
    """
    files = read_files([*([DEFAULTS] if Path(DEFAULTS).exists() else []), *paths])
    section: dict[str, Any] = {}
    for file in files:
        section = merge(section, {key: value for key, value in file.content.items() if key == "comparison"})
    settings, problems = check(Comparison, section, Origins(files), [])
    if settings is None or problems:
        raise InvalidConfig.of(problems)
    return settings.comparison


def _read_site(path: str, origins: Origins) -> tuple[Site | None, list[Problem]]:
    """Return the content of the site file.

    An export has no ``config/site.yaml``, because it describes no cluster; all values are then the defaults.
    """
    if path == SITE and not Path(SITE).exists():
        return Site(), []
    try:
        file = read_file(path, "site file", may_be_empty=True)
    except InvalidConfig as error:
        return None, _placed(error, origins.place(("site",)))
    marks = Origins([file])
    if problems := outdated(file.content, marks, "site."):
        return None, problems
    return check(Site, file.content, marks, [])


def _layouts_fit_the_site(settings: Settings, site: Site, origins: Origins) -> Iterator[Problem]:
    available = site.slurm.gpu.gpus_per_node
    for key, job in trainings(settings).items():
        if job.layout.accelerator == "gpu" and job.layout.devices > available:
            location = (*key, "layout", "devices")
            cause = f"{dotted(location)} is {job.layout.devices}, and {settings.site} has slurm.gpu.gpus_per_node: "
            fix = "Use more nodes with fewer devices each, or correct the site file."
            yield Problem(f"{cause}{available}.", fix, origins.place(location), location)


def _placed(error: InvalidConfig, place: str) -> list[Problem]:
    """Return the problems of a file that another file names at ``place``."""
    return [Problem(problem.cause, problem.fix, problem.place or place) for problem in error.problems]


def _read_sources(paths: Any, origins: Origins) -> tuple[dict[str, Any], list[Problem]]:
    """Return the records of all sources files."""
    paths = [paths] if isinstance(paths, str) else paths
    place = origins.place(("sources",))
    if not (isinstance(paths, list | tuple) and paths and all(isinstance(path, str) for path in paths)):
        cause = "sources must be the path of a sources file, or a list of paths."
        return {}, [Problem(cause, f"Correct it; the default is {SOURCES}.", place)]
    records: dict[str, Any] = {}
    problems: list[Problem] = []
    for path in paths:
        try:
            file = read_file(path, "sources file")
        except InvalidConfig as error:
            problems += _placed(error, place)
        else:
            origins.add_sources(file)
            records |= file.content
    return records, problems
