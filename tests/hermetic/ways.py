"""Ways in which code, data, settings or time could reach a step: how a value is placed outside, and how it is read.

``{root}`` is the project, ``{outside}`` a folder beside it and ``{value}`` what is smuggled. A program sets ``found``.
"""

import os
import socket

from tests.hermetic.code_ways import CODE_WAYS, IMPOSSIBLE, LIBC, NO_EFFECT, Way
from tests.hermetic.places import (
    KEYCTL,
    attributes,
    blocked_signal,
    both,
    database,
    descriptor,
    extension,
    file,
    leftover,
    notes,
    scratch,
    server,
    session_key,
    shared,
    variables,
)

HIDDEN = file("hidden.py", "VALUE = '{value}'\n")
HELPER = "lib/helper.py"
PORT = 28461
SETTINGS = (
    "USER",
    "LOGNAME",
    "LD_LIBRARY_PATH",
    "http_proxy",
    "HTTP_COOKIE",
    "HF_TOKEN",
    "SLURM_JOB_ID",
    "LANG",
    "LC_ALL",
)
RC = (
    *("MPLCONFIGDIR", "MATPLOTLIBRC", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"),
    *("PYTHONPYCACHEPREFIX", "PYTHONUSERBASE", "PYTHONWARNINGS"),
)

WAYS: dict[str, Way] = {
    **CODE_WAYS,
    # -- data ------------------------------------------------------------------------------------------------------
    "an absolute path": (file("{outside}/data"), "found = Path('{outside}/data').read_text()", IMPOSSIBLE),
    "a relative path": (file("src/other.txt"), "found = Path('src/other.txt').read_text()", IMPOSSIBLE),
    "the home folder": (
        both(file("{outside}/home/.config/x"), variables(HOME="{outside}/home")),
        "found = (Path.home() / '.config/x').read_text()",
        IMPOSSIBLE,
    ),
    "another result": (file("results/other.txt"), "found = Path('{root}/results/other.txt').read_text()", IMPOSSIBLE),
    "another result by its name": (
        file("results/other.txt"),
        "found = Path('results/other.txt').read_text()",
        IMPOSSIBLE,
    ),
    "another file of an input": (
        file("results/given/second.txt"),
        "found = Path('results/given/second.txt').read_text()",
        IMPOSSIBLE,
    ),
    "the store": (file("store/x"), "found = Path('{root}/store/x').read_text()", IMPOSSIBLE),
    "the folder of a parent process": (
        file("src/other.txt"),
        "import os\nfound = Path(f'/proc/{os.getppid()}/cwd/src/other.txt').read_text()",
        IMPOSSIBLE,
    ),
    "the root of this process": (
        file("{outside}/data"),
        "found = Path('/proc/self/root{outside}/data').read_text()",
        IMPOSSIBLE,
    ),
    "/dev/shm": (file("/dev/shm/tapeout-data"), "found = Path('/dev/shm/tapeout-data').read_text()", IMPOSSIBLE),
    "shared memory": (
        shared,
        "from multiprocessing.shared_memory import SharedMemory\n"
        "found = str(bytes(SharedMemory('tapeout-smuggled').buf))",
        IMPOSSIBLE,
        None,
    ),
    "/var/tmp": (file("/var/tmp/tapeout-data"), "found = Path('/var/tmp/tapeout-data').read_text()", IMPOSSIBLE),
    "/tmp": (file("/tmp/tapeout-data"), "found = Path('/tmp/tapeout-data').read_text()", IMPOSSIBLE),
    "names in a folder": (
        lambda world, value: [None, world.write(f"{world.outside}/{value}", "")][0],
        "import os\nfound = str(sorted(os.listdir('{outside}')))",
        IMPOSSIBLE,
    ),
    "names in the folder above": (
        lambda world, value: [None, world.write(value, "")][0],
        "import os\nfound = str(sorted(os.listdir('..')))",
        NO_EFFECT,
    ),
    "a symbolic link": (
        file("{outside}/data"),
        "import os\nos.symlink('{outside}/data', 'link')\nfound = Path('link').read_text()",
        IMPOSSIBLE,
    ),
    "a hard link": (
        file("{outside}/data"),
        "import os\nos.link('{outside}/data', 'link')\nfound = Path('link').read_text()",
        IMPOSSIBLE,
    ),
    "another program": (
        file("{outside}/data"),
        "import subprocess\nfound = subprocess.run(['cat', '{outside}/data'], check=True, stdout=-1).stdout.decode()",
        IMPOSSIBLE,
        None,
    ),
    "native code": (
        file("{outside}/data"),
        LIBC + "if libc.read(libc.open(b'{outside}/data', 0), buffer, 8) < 0:\n"
        "    raise OSError('no')\nfound = str(buffer.raw)",
        IMPOSSIBLE,
        None,
    ),
    "a program on PATH": (
        both(
            file("{outside}/bin/tool", "#!/bin/sh\necho {value}\n"),
            lambda world, value: (world.outside / "bin/tool").chmod(0o755),
            variables(PATH="{outside}/bin:/usr/bin:/bin"),
        ),
        "import subprocess\nfound = subprocess.run(['tool'], check=True, stdout=-1).stdout.decode()",
        IMPOSSIBLE,
    ),
    "an open file": (descriptor, "import os\nfound = os.read(9, 8).decode()", IMPOSSIBLE),
    "what an earlier attempt left": (
        leftover,
        "import os, tempfile\nfound = str(sorted(os.listdir(tempfile.gettempdir())))",
        NO_EFFECT,
    ),
    "what an earlier attempt left in its folder": (
        scratch,
        "import os\nfolder = Path(os.environ['TAPEOUT_STATE']).parent\n"
        "found = str(sorted(name for name in os.listdir(folder) if name in ('one', 'two')))",
        NO_EFFECT,
    ),
    "the variables of a parent process": (
        variables(PATH="{outside}/{value}:/usr/bin:/bin"),
        "import os\nfound = str(Path(f'/proc/{os.getppid()}/environ').read_bytes())",
        IMPOSSIBLE,
    ),
    "settings of the kernel": (
        lambda world, value: None,
        "found = str(Path('/proc/sys/kernel/core_pattern').open('w').fileno())",
        IMPOSSIBLE,
    ),
    "a mount that is made writable": (
        lambda world, value: None,
        LIBC + "if libc.mount(None, b'/tapeout/code', None, 4128, None):\n    raise OSError('no')\nfound = 'mounted'",
        IMPOSSIBLE,
        None,
    ),
    "a relative path below an open folder": (
        file("{outside}/data"),
        "import os\nfolder = os.open('/usr', 0)\nfolder = os.open('..', 0, dir_fd=folder)\n"
        "found = os.read(os.open('{outside}/data'[1:], 0, dir_fd=folder), 8).decode()",
        IMPOSSIBLE,
    ),
    "the same with the module under os": (
        file("{outside}/data"),
        "import os, posix\nfolder = os.open('/usr', 0)\nfolder = posix.open('..', 0, dir_fd=folder)\n"
        "found = os.read(posix.open('{outside}/data'[1:], 0, dir_fd=folder), 8).decode()",
        IMPOSSIBLE,
    ),
    "a hard link from below an open folder": (
        file("{outside}/data"),
        "import os\nwhere = '..' + '{outside}'\nos.makedirs('a/b')\nos.chdir('a/b')\nfolder = os.open('/usr', 0)\n"
        "os.link(where + '/data', 'link', src_dir_fd=folder)\nfound = Path('link').read_text()",
        IMPOSSIBLE,
    ),
    "an extension of another installation": (
        extension,
        "from importlib.machinery import ExtensionFileLoader\nimport importlib.util\n"
        "loader = ExtensionFileLoader('_bisect', '{outside}/_bisect.so')\n"
        "found = str(importlib.util.module_from_spec(importlib.util.spec_from_loader('_bisect', loader)))",
        IMPOSSIBLE,
    ),
    "a database that is attached": (
        database,
        "import sqlite3\nopened = sqlite3.connect(':memory:')\nopened.execute(\"attach '{outside}/base' as other\")\n"
        "found = str(opened.execute('select * from other.t').fetchall())",
        IMPOSSIBLE,
        None,
    ),
    "a database": (
        file("{outside}/data"),
        "import sqlite3\nfound = str(sqlite3.connect('file:{outside}/data?mode=ro', uri=True).execute('select 1'))",
        IMPOSSIBLE,
    ),
    "a server on this machine": (
        server(socket.AF_INET, ("127.0.0.1", PORT)),
        f"import socket\nfound = socket.create_connection(('127.0.0.1', {PORT}), 5).recv(8).decode()",
        IMPOSSIBLE,
        None,
    ),
    "an abstract socket": (
        server(socket.AF_UNIX, "\0tapeout-smuggled"),
        "import socket\nclient = socket.socket(socket.AF_UNIX)\n"
        "client.connect('\\0tapeout-smuggled')\nfound = client.recv(8).decode()",
        IMPOSSIBLE,
        None,
    ),
    "another machine": (
        lambda world, value: None,
        "import socket\nfound = socket.create_connection(('192.0.2.1', 80), 5).recv(8).decode()",
        IMPOSSIBLE,
    ),
    # -- settings --------------------------------------------------------------------------------------------------
    "a variable": (variables(MY_OWN="{value}"), "import os\nfound = os.environ.get('MY_OWN', 'none')", NO_EFFECT),
    "all variables": (
        variables(**dict.fromkeys(SETTINGS, "{value}")),
        "import os\nfound = str({name: os.environ.get(name) for name in " + repr(SETTINGS) + "})",
        NO_EFFECT,
    ),
    "settings of libraries": (
        both(
            variables(**dict.fromkeys(RC, "{outside}/{value}")),
            file("matplotlibrc", "backend: {value}"),
            file("{outside}/home/.config/matplotlib/matplotlibrc", "backend: {value}"),
            variables(HOME="{outside}/home"),
        ),
        "import os\nfound = str([os.environ.get(name) for name in "
        + repr(RC)
        + "]) + str(Path('matplotlibrc').exists())\n"
        "found += str((Path.home() / '.config').exists())",
        NO_EFFECT,
    ),
    "the locale": (
        variables(LANG="{value}_TR.ISO-8859-9", LC_NUMERIC="de_DE.UTF-8", LANGUAGE="{value}"),
        "import locale\nfound = str([locale.setlocale(locale.LC_ALL, ''), locale.localeconv()])\n"
        "found += sys.getfilesystemencoding()",
        NO_EFFECT,
    ),
    "the time zone": (
        variables(TZ="UTC{value}"),
        "import time\nfound = str(time.tzname) + time.strftime('%z')",
        NO_EFFECT,
    ),
    "the user's name": (
        variables(USER="{value}", LOGNAME="{value}"),
        "import getpass\nfound = getpass.getuser()",
        NO_EFFECT,
    ),
    "modes and times of an input": (
        attributes("results/given"),
        "import os\ninfo = given.given.stat()\nfound = oct(info.st_mode) + str(info.st_mtime_ns)",
        NO_EFFECT,
    ),
    "modes and times of the code": (
        attributes("work/code"),
        "import os\npaths = [Path(os.environ['PYTHONPATH'].split(':')[-1]), Path(__file__), Path(__file__).parent]\n"
        "found = str([(oct(path.stat().st_mode), path.stat().st_mtime_ns) for path in paths])",
        NO_EFFECT,
    ),
    "modes of what a step gets": (
        lambda world, value: [None, os.umask(0o077 if value == "one" else 0o002)][0],
        "import os\nstep = Path(os.environ['TAPEOUT_STATE']).parent\n"
        "paths = [step, Path(os.environ['HOME']), Path(os.environ['TAPEOUT_METRICS']), *sorted(step.iterdir())]\n"
        "paths = [path for path in paths if path.name != 'progress.json']\n"
        "found = str([oct(path.stat().st_mode) for path in paths])",
        NO_EFFECT,
    ),
    "the umask": (
        lambda world, value: [None, os.umask(0o077 if value == "one" else 0o002)][0],
        "import os\nPath('made').touch()\nfound = oct(Path('made').stat().st_mode) + oct(os.umask(0))",
        NO_EFFECT,
    ),
    "signals that are blocked or ignored": (
        blocked_signal,
        "import signal\nfound = f'{signal.pthread_sigmask(signal.SIG_BLOCK, [])} {signal.getsignal(signal.SIGUSR2)}'",
        NO_EFFECT,
    ),
    "a key of the session": (
        session_key,
        LIBC + f"key = libc.syscall({KEYCTL}, 10, -3, b'user', b'tapeout', 0)\n"
        f"libc.syscall({KEYCTL}, 11, key, buffer, 8)\nfound = f'{{key > 0}} {{buffer.value}}'",
        NO_EFFECT,
    ),
    # -- the step's own folders ------------------------------------------------------------------------------------
    "notes of an earlier attempt": (
        notes,
        "found = ' '.join(path.name for path in sorted(given.params.resolve().parent.rglob('*')))",
        NO_EFFECT,
        None,
    ),
    "metrics of an earlier attempt": (
        notes,
        "import os\nfound = Path(os.environ['TAPEOUT_METRICS']).read_text()",
        NO_EFFECT,
    ),
    "the real path of the output": (notes, "found = str(given.output.resolve())", NO_EFFECT, None),
    "another folder in place of that of the output": (
        file("{outside}/found.txt"),
        "import os\nfolder = os.path.realpath(given.output.parent)\nos.rename(folder, folder + '.old')\n"
        "os.symlink('{outside}', folder)\nsys.exit()",
        IMPOSSIBLE,
    ),
    "other parameters": (
        notes,
        "given.params.write_text('{}')\nfound = 'x'",
        IMPOSSIBLE,
    ),
}
