"""A pipeline that tells all that it finds around itself: the same in a cold pod and in a warm one.

What it does before it looks is its input, so that the effects of imports are compared too. Modules
that it needs for looking are imported afterwards, and are not among those that it tells of.
"""

PIPELINE = r'''
import sys

START = dict(
    modules=sorted(sys.modules),
    finders=[str(each) for each in sys.meta_path if "mayfly" not in type(each).__module__],
    hooks=[str(each)[:60] for each in sys.path_hooks],
    trace=[str(sys.gettrace()), str(sys.getprofile())],
)

import builtins
import os
import warnings


def told(value):
    return repr(value)


def process():
    status = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines())
    names = "Name Umask Uid Gid Groups NoNewPrivs Seccomp CapEff Threads SigQ SigPnd ShdPnd SigBlk"
    names += " SigIgn SigCgt Cpus_allowed"
    link = os.readlink
    numbers = sorted(int(each) for each in os.listdir("/proc/self/fd"))
    return {
        "status": {name: status.get(name) for name in names.split() if name != "SigQ"},
        "environ": open("/proc/self/environ", "rb").read().decode("latin-1"),
        "cmdline": open("/proc/self/cmdline", "rb").read().decode("latin-1"),
        "limits": open("/proc/self/limits").read(),
        "oom": open("/proc/self/oom_score_adj").read(),
        "session": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()],
        "tasks": len(os.listdir("/proc/self/task")),
        "children": open("/proc/thread-self/children").read(),
        "descriptors": {
            number: [link(f"/proc/self/fd/{number}").split(":")[0], os.get_inheritable(number)]
            for number in numbers if os.path.exists(f"/proc/self/fd/{number}")
        },
        "nice": os.nice(0),
        "cpus": sorted(os.sched_getaffinity(0)),
    }


def files():
    found = {}
    for base in sorted({os.environ["HOME"], os.environ["TMPDIR"], os.getcwd()}):
        for folder, names, inside in os.walk(base):
            for name in names + inside:
                path = os.path.join(folder, name)
                stat = os.lstat(path)
                found[path] = [oct(stat.st_mode), 0 if name in names else stat.st_size]
    shared = sorted(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else []
    mine = [each for each in shared if os.stat(f"/dev/shm/{each}").st_uid == os.getuid()]
    return {"files": found, "shared": [each for each in mine if "joblib" in each or "mp-" in each]}


def interpreter(seen):
    import asyncio, atexit, gc, locale, logging, multiprocessing, random, signal, socket, ssl
    import tempfile, threading, time
    return {
        **seen,
        "path": list(sys.path), "argv": list(sys.argv), "flags": told(sys.flags),
        "options": told(sys._xoptions), "importers": sorted(sys.path_importer_cache)[:0],
        "excepthook": [sys.excepthook is sys.__excepthook__, told(threading.excepthook)[:40]],
        "displayhook": told(sys.displayhook), "import": told(builtins.__import__),
        "environ": type(os.environ).__name__,
        "recursion": sys.getrecursionlimit(), "switch": sys.getswitchinterval(),
        "bytecode": sys.dont_write_bytecode, "digits": sys.get_int_max_str_digits(),
        "stdout": [told(type(sys.stdout)), sys.stdout.encoding, sys.stdout.errors,
                   sys.stdout.fileno(), sys.stdout is sys.__stdout__, sys.stderr.fileno()],
        "collector": [gc.isenabled(), gc.get_threshold(), gc.get_debug(), len(gc.callbacks)],
        "signals": {told(each): told(signal.getsignal(each)).split(" at ")[0]
                    for each in signal.valid_signals()},
        "mask": told(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "timers": [signal.getitimer(each) for each in (0, 1, 2)],
        "locale": [locale.setlocale(locale.LC_ALL), locale.getpreferredencoding()],
        "zone": [time.tzname, time.timezone, time.localtime(0).tm_hour],
        "loggers": [logging.root.level, told(logging.root.handlers), logging.root.manager.disable,
                    told(logging.lastResort), logging.raiseExceptions,
                    told(logging.getLoggerClass())],
        "policy": [told(getattr(asyncio.events, "_event_loop_policy", None)),
                   told(asyncio._get_running_loop())],
        "start method": multiprocessing.get_start_method(allow_none=True),
        "processes": told(multiprocessing.active_children()),
        "threads": [each.name for each in threading.enumerate()],
        "stack": threading.stack_size(),
        "timeout": socket.getdefaulttimeout(),
        "temporary": [tempfile.tempdir, told(tempfile._name_sequence)],
        "tls": ssl._create_default_https_context is ssl.create_default_context,
        "umask": [mask := os.umask(0), os.umask(mask)],
    }


def effects():
    return {
        "variables": dict(os.environ),
        "filters": [[told(part) for part in each] for each in warnings.filters],
        "filters' order": told(warnings.defaultaction),
    }


def main(does: str = "") -> dict:
    """does: statements that are executed before it looks around."""
    exec(does, {})
    after = effects()
    names = {each.partition(".")[0] for each in sys.modules}
    modules = sorted(each for each in sys.modules if not each.startswith("_"))
    seen = dict(START)
    return {"interpreter": interpreter(seen), "process": process(), "files": files(),
            "effects": after, "modules": modules, "cwd": os.getcwd()}
'''
