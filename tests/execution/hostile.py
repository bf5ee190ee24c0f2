"""Programs written by an attacker who has read the executor's code, by what they are after.

Each is one step. `{secret}`, `{victim}` and so on are filled in by the test: a file outside, the pid of a process of the
test, a listening port. None of them may have any effect beyond its own result.
"""

from __future__ import annotations

WARM_ALSO = "import math, fractions, statistics, collections, random, itertools, functools, re, decimal\n"

PROGRAMS: dict[str, str] = {
    # ---- reading what is not theirs
    "read a secret file": "print(open({secret!r}).read())",
    "read a secret file by os": "import os\nfd = os.open({secret!r}, os.O_RDONLY)\nprint(os.read(fd, 100))",
    "read /etc/passwd": "print(open('/etc/passwd').read())",
    "read the environment of the parent": "print(open('/proc/1/environ').read())",
    "read the environment": "import os\nprint({{k: v for k, v in os.environ.items() if 'SECRET' in k}})",
    "list the root": "import os\nprint(os.listdir('/'))",
    "walk everything": "import os\nprint([f for d, _, fs in os.walk('/') for f in fs if 'secret' in f])",
    "metadata of a host file": "import os\nprint(os.stat({secret!r}).st_size)",
    "whether a host file exists": "import os\nprint(os.path.exists({secret!r}) or 1 / 0)",
    "read through a link": "import os\nos.symlink({secret!r}, '/tmp/l')\nprint(open('/tmp/l').read())",
    "read through dev fd": "print(open('/dev/fd/0').read(), open('/proc/self/fd/3').read())",
    "read memory of another process": "print(open('/proc/{victim}/mem', 'rb').read(8))",
    "process_vm_readv": "import ctypes\nprint(ctypes.CDLL(None).process_vm_readv({victim}, 0, 0, 0, 0, 0) or 1 / 0)",
    "import the package": "import rstar_math\nprint(rstar_math.__file__)",
    "import by file": (
        "import importlib.util as u\ns = u.spec_from_file_location('m', {secret!r})\n"
        "m = u.module_from_spec(s)\ns.loader.exec_module(m)\nprint(m)"
    ),
    "mmap a file": "import mmap\nf = open({secret!r}, 'rb')\nprint(mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)[:])",
    # ---- writing
    "write a file": "open({target!r}, 'w').write('x')",
    "write to tmp": "open('/tmp/hostile', 'w').write('x')",
    "append to the standard library": "import os\nopen(os.__file__, 'a').write('x')",
    "remove a file": "import os\nos.remove({secret!r})",
    "rename a file": "import os\nos.rename({secret!r}, {target!r})",
    "make a folder": "import os\nos.mkdir({target!r})",
    "change the mode": "import os\nos.chmod({secret!r}, 0o777)",
    "truncate a file": "import os\nos.truncate({secret!r}, 0)",
    "shared memory": "from multiprocessing import shared_memory\nprint(shared_memory.SharedMemory(create=True, size=64))",
    "anonymous file": "import os\nfd = os.memfd_create('x')\nos.write(fd, b'x' * (1 << 20))\nprint(fd)",
    "change the root": "import os\nos.chroot('/')\nprint(1)",
    "mount": "import ctypes\nprint(ctypes.CDLL(None).mount(b'none', b'/', b'tmpfs', 0, None) and 1 / 0)",
    # ---- network
    "tcp": "import socket\ns = socket.create_connection(('127.0.0.1', {port}), 1)\ns.send(b'x')",
    "udp": "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.sendto(b'x', ('127.0.0.1', {port}))",
    "unix socket": "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect({secret!r})",
    "abstract socket": "import socket\ns = socket.socket(socket.AF_UNIX)\ns.bind('\\0hostile')\ns.listen()\nprint(s)",
    "netlink": "import socket\nprint(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))",
    "name lookup": "import socket\nprint(socket.gethostbyname('localhost'))",
    "url": "import urllib.request\nprint(urllib.request.urlopen('http://127.0.0.1:{port}/', timeout=1).read())",
    # ---- processes
    "subprocess": "import subprocess\nprint(subprocess.run(['/bin/sh', '-c', 'echo x'], capture_output=True))",
    "os.system": "import os\nprint(os.system('touch {target}') and 1 / 0)",
    "exec": "import os\nos.execv('/bin/sh', ['sh', '-c', 'echo x'])",
    "fork": "import os\nif os.fork() == 0:\n    while True: pass",
    "fork bomb": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "spawn": "import os\nprint(os.posix_spawn('/bin/true', ['true'], {{}}))",
    "thread": "import threading\nt = threading.Thread(target=lambda: None)\nt.start()\nt.join()",
    "thread by hand": "import _thread\n_thread.start_new_thread(print, ())",
    "process pool": "import multiprocessing\nprint(multiprocessing.Pool(2).map(abs, [1]))",
    "clone by ctypes": "import ctypes\nprint(ctypes.CDLL(None).syscall(56, 0x11, 0, 0, 0, 0))\n1 / 0",
    "clone3 by ctypes": "import ctypes\nb = ctypes.create_string_buffer(88)\nprint(ctypes.CDLL(None).syscall(435, b, 88))\n1 / 0",
    "kill the victim": "import os\nos.kill({victim}, 9)",
    "kill the parent": "import os\nos.kill(os.getppid(), 9)",
    "kill everything": "import os\nos.kill(-1, 9)",
    "kill the group": "import os\nos.killpg(0, 9)",
    "stop the parent": "import os, signal\nos.kill(os.getppid(), signal.SIGSTOP)",
    "ptrace": "import ctypes\nprint(ctypes.CDLL(None).ptrace(16, {victim}, 0, 0) and 1 / 0)",
    "become root": "import os\nos.setuid(0)\nos.setgid(0)\nos.setgroups([0])",
    "new namespaces": "import ctypes\nprint(ctypes.CDLL(None).unshare(0x10000000) and 1 / 0)",
    "outlive the parent": "import ctypes\nprint(ctypes.CDLL(None).prctl(1, 0, 0, 0, 0) and 1 / 0)",
    # ---- limits
    "raise limits": "import resource\nresource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)",
    "20 GB": "x = bytearray(20 << 30)\nprint(len(x))",
    "20 GB bit by bit": "x = []\nwhile True: x.append(bytearray(1 << 24))",
    "20 GB of nothing": "x = [0] * (20 << 27)\nprint(len(x))",
    "20 GB mapped": "import mmap\nm = mmap.mmap(-1, 20 << 30)\nprint(len(m))",
    "endless loop": "while True: pass",
    "endless loop that catches": "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
    "C call without end": "print(sum(itertools.repeat(1)))",
    "big power": "print(len(str(7 ** 7 ** 8)))",
    "regular expression without end": "import re\nre.match('(a+)+$', 'a' * 40 + 'b')",
    "endless output": "while True: print('x' * 1000)",
    "endless output that catches": "while True:\n    try: print('x' * 1000)\n    except BaseException: pass",
    "sleep": "import time\ntime.sleep(1000)",
    "ignore signals": "import signal\nfor s in range(1, 32):\n    try: signal.signal(s, signal.SIG_IGN)\n    except Exception: pass\nwhile True: pass",
    "an alarm": "import signal\nsignal.signal(signal.SIGALRM, lambda *_: 0)\nsignal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)",
    "priority": "import os\nos.nice(-20)\nos.sched_setaffinity(0, {{0}})",
    "deep recursion in C": "x = []\nfor i in range(10 ** 6): x = [x]\nprint(repr(x)[:10])",
    "deep source": "eval('(' * 5000 + '1' + ')' * 5000)",
    "crash": "import ctypes\nctypes.string_at(0)",
    "crash by code object": "f = lambda: 0\nf.__code__ = f.__code__.replace(co_code=b'\\x64\\xff' * 9, co_consts=())\nf()",
    "end at once": "import os\nos._exit(0)",
    "abort": "import os\nos.abort()",
    "many descriptors": "import os\nwhile True: os.dup(0)",
    # ---- the channel and the harness
    "close every descriptor": "import os\nos.closerange(0, 64)",
    "forge a result": "import os\nfor fd in range(3, 64):\n    try: os.write(fd, b'R[0,\"ok\",null,0.0,0,0,0,false]')\n    except OSError: pass",
    "forge results in frames": (
        "import os, json\nm = json.dumps([[n, 'ok', None, 0.0, 'forged', 0.0, True] for n in range(2000)]).encode()\n"
        "for fd in range(3, 64):\n    try: os.write(fd, len(m).to_bytes(4, 'big') + m)\n    except OSError: pass"
    ),
    "garbage on the channel": "import os\nfor fd in range(3, 64):\n    try: os.write(fd, os.urandom(5000))\n    except OSError: pass",
    "flood the channel": "import os\nwhile True:\n    for fd in range(3, 64):\n        try: os.write(fd, b'H')\n        except OSError: pass",
    "send descriptors": (
        "import socket\nfor fd in range(3, 64):\n    try: socket.send_fds(socket.socket(fileno=fd), [b'R'], [0] * 20)\n"
        "    except OSError: pass"
    ),
    "speak of staying": "import os\nfor fd in range(3, 64):\n    try: os.write(fd, b'R[0,\"ok\",null,0.0,0,0,0,true]')\n    except OSError: pass\nwhile True: pass",
    "frames of the harness": (
        "try: 1 / 0\nexcept Exception as e: f = e.__traceback__.tb_frame\n"
        "while f:\n    for k, v in f.f_locals.items():\n        if 'output' in k or k == 'self': print(k)\n    f = f.f_back\n1 / 0"
    ),
    "spoil the harness": (
        "import sys\nf = sys._getframe()\nwhile f:\n    for k in list(f.f_globals):\n"
        "        if k[:2] != '__' and k != 'f': f.f_globals[k] = None\n    f = f.f_back"
    ),
    "objects by the collector": "import gc\nfor o in gc.get_objects():\n    if isinstance(o, dict) and 'math' in o: o.clear()",
    "main module": "import __main__\nfor k in list(vars(__main__)): delattr(__main__, k)",
    "audit hook": "import sys\ndef h(*a): raise RuntimeError\nsys.addaudithook(h)",
    "trace": "import sys\nsys.settrace(lambda *a: 1 / 0)\nsys.setprofile(lambda *a: None)",
    "exit handlers": "import atexit, os\natexit.register(lambda: os.write(3, b'x'))\nraise SystemExit",
    "own stdout": "import sys\nsys.stdout = None\nsys.stderr = None\nsys.__stdout__ = None",
    "close stdout": "import sys\nsys.stdout.__class__.write = lambda *a: 1 / 0",
    # ---- what later programs use
    "patch builtins": "import builtins\nbuiltins.len = lambda x: 42\nbuiltins.print = None\nbuiltins.sum = max",
    "patch math": WARM_ALSO + "math.sqrt = lambda x: 42\nmath.pi = 3\ndel math.cos",
    "patch a class": WARM_ALSO + "fractions.Fraction.__add__ = lambda a, b: 42",
    "patch a class by setattr": WARM_ALSO + "setattr(collections.Counter, 'most_common', lambda *a: 42)",
    "patch code": WARM_ALSO + "statistics.mean.__code__ = (lambda data: 42).__code__",
    "patch defaults": WARM_ALSO + "statistics.quantiles.__kwdefaults__['n'] = 1",
    "patch by globals": WARM_ALSO
    + "statistics.mean.__globals__['_sum'] = lambda d: 42\nfractions.Fraction.limit_denominator.__globals__['math'] = None",
    "patch by subclasses": "for c in object.__subclasses__():\n    try: c.__repr__ = lambda s: '42'\n    except Exception: pass",
    "patch the importer": "import sys\nsys.modules['math'] = None\nsys.path.clear()\nsys.meta_path.clear()",
    "recursion limit": "import sys\nsys.setrecursionlimit(50)",
    "decimal precision": "import decimal\ndecimal.getcontext().prec = 3\ndecimal.DefaultContext.prec = 3",
    "random state": "import random\nrandom.seed(1)\nrandom.random = lambda: 0.5\nrandom._inst.random = lambda: 0.5",
    "no collector": "import gc\ngc.disable()\ngc.set_threshold(0)\ngc.freeze()",
    "switch interval": "import sys\nsys.setswitchinterval(1000)",
    "locale": "import locale\nlocale.setlocale(locale.LC_ALL, 'C')\nlocale.localeconv = None",
    "warnings into errors": "import warnings\nwarnings.simplefilter('error')",
    "environment": "import os\nos.environ.clear()\nos.environ['TZ'] = 'Asia/Tokyo'\nimport time\ntime.tzset()",
    "name of the program": "__name__ = 'x'\n__builtins__ = {}",
    "clear own builtins": "(__builtins__ if isinstance(__builtins__, dict) else vars(__builtins__)).clear()",
    "finaliser": "class A:\n    def __del__(self):\n        import builtins\n        builtins.len = None\na = A()\nb = [a]\nb.append(b)\ndel a, b",
    "generator left open": "def g():\n    try: yield\n    finally:\n        while True: pass\nx = g()\nnext(x)",
    "evil equality": "class A:\n    def __eq__(self, o): return True\n    def __hash__(self): return hash(1.5)\nimport re\nre.compile('x')\nprint(A() == 3)",
    "shared text": "a = 'x'\nimport sys\nsys.intern(a)\nprint(a is 'x')",
}

NUMERIC: dict[str, str] = {
    "numpy errors": "import numpy as np\nnp.seterr(all='raise')",
    "numpy printing": "import numpy as np\nnp.set_printoptions(precision=1)",
    "patch numpy": "import numpy as np\nnp.mean = lambda x: 42\nnp.linalg.det = None",
    "numpy random": "import numpy as np\nnp.random.seed(3)\nnp.random.rand = lambda: 0.5",
    "numpy files": "import numpy as np\nprint(np.fromfile({secret!r}, dtype='u1'))",
    "numpy memory": "import numpy as np\nx = np.ones(20 << 27)\nprint(x.sum())",
    "numpy pickle": "import numpy as np\nnp.save({target!r}, np.ones(3))",
    "numpy wild pointer": "import numpy as np\na = np.lib.stride_tricks.as_strided(np.zeros(1), (1 << 20,), (1 << 30,))\nprint(a.sum())",
    "mpmath precision": "import mpmath\nmpmath.mp.dps = 3\nmpmath.mp.pretty = True",
    "patch sympy": "import sympy\nsympy.Integer.__add__ = lambda a, b: sympy.Integer(42)\nsympy.solve = None",
    "sympy text": 'import sympy\nprint(sympy.sympify(\'__import__("os").system("touch {target}")\'))',
    "sympy text that patches": 'import sympy\nsympy.sympify(\'setattr(__import__("math"), "pi", 3)\')',
    "sympy text by another name": "from sympy import *\nprint(solve('exec(\"import math; math.pi = 3\")'))",
    "sympy lambdify": "import sympy\nx = sympy.symbols('x')\nsympy.lambdify(x, '__import__(\"math\").__dict__.update(pi=3)')(1)",
    "sympy cache": "import sympy\nfrom sympy.core.cache import clear_cache\nclear_cache()\nsympy.core.cache.CACHE.clear()",
    "sympy assumptions": "import sympy\nx = sympy.Symbol('x')\nsympy.Symbol.is_positive = True\nsympy.global_parameters = None",
    "sympy printing": "import sympy\nsympy.init_printing()\nsympy.Basic.__str__ = lambda s: '42'",
    "sympy sieve": "import sympy\nsympy.sieve._list[0] = 4\nsympy.sieve.extend(100)",
    "sympy singletons": "import sympy\nsympy.S.Half.p = 3\nsympy.S.One.p = 7",
}
