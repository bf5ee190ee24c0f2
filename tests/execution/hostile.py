"""Programs written by an attacker who has read the executor's code, by what they are after.

Each is one step. `$SECRET`, `$TARGET`, `$PATH`, `$VICTIM` and `$PORT` are filled in by the test: a file outside that is
there and one that is not, the latter's path inside other quotes, a process of the test, a port on which it listens. None
of them may have any effect beyond its own result.
"""

# ruff: noqa: E501

from __future__ import annotations


def _programs(text: str) -> dict[str, str]:
    """By name: each begins after a line `# -- name`."""
    found: dict[str, str] = {}
    for part in ("\n" + text.strip("\n")).split("\n# -- ")[1:]:
        name, _, code = part.partition("\n")
        assert name not in found, name
        found[name] = code
    return found


def filled(code: str, secret: str, target: str, victim: int, port: int) -> str:
    """`code` with what the test provides."""
    values = {"SECRET": repr(secret), "TARGET": repr(target), "PATH": target, "VICTIM": str(victim), "PORT": str(port)}
    for name, value in values.items():
        code = code.replace(f"${name}", value)
    return code


READING = _programs(r"""
# -- read a secret file
print(open($SECRET).read())
# -- read a secret file by os
import os
fd = os.open($SECRET, os.O_RDONLY)
print(os.read(fd, 100))
# -- read /etc/passwd
print(open('/etc/passwd').read())
# -- read the environment of the parent
print(open('/proc/1/environ').read())
# -- read the environment
import os
print({k: v for k, v in os.environ.items() if 'SECRET' in k})
# -- list the root
import os
print(os.listdir('/'))
# -- walk everything
import os
print([f for d, _, fs in os.walk('/') for f in fs if 'secret' in f])
# -- metadata of a host file
import os
print(os.stat($SECRET).st_size)
# -- whether a host file exists
import os
print(os.path.exists($SECRET) or 1 / 0)
# -- read through a link
import os
os.symlink($SECRET, '/tmp/l')
print(open('/tmp/l').read())
# -- read through dev fd
print(open('/dev/fd/0').read(), open('/proc/self/fd/3').read())
# -- read memory of another process
print(open('/proc/$VICTIM/mem', 'rb').read(8))
# -- process_vm_readv
import ctypes
if ctypes.CDLL(None).process_vm_readv($VICTIM, 0, 0, 0, 0, 0) != 0: raise OSError
# -- import the package
import rstar_math
print(rstar_math.__file__)
# -- import by file
import importlib.util as u
s = u.spec_from_file_location('m', $SECRET)
m = u.module_from_spec(s)
s.loader.exec_module(m)
print(m)
# -- mmap a file
import mmap
f = open($SECRET, 'rb')
print(mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)[:])
# -- the home folder
import os
print(os.listdir(os.path.expanduser('~')) + os.listdir('/root') + os.listdir('/home'))
# -- metadata through pathlib
import pathlib
print(pathlib.Path($SECRET).stat())
# -- metadata of the folder
import os
print([e.stat().st_size for e in os.scandir(os.path.dirname($SECRET))])
# -- space on the disk
import os
print(os.statvfs('/'))
# -- extended attributes
import os
print(os.listxattr($SECRET))
# -- links of the process
import os
print(os.readlink('/proc/self/exe'), os.readlink('/proc/self/cwd'))
# -- settings of the kernel
print(open('/proc/sys/kernel/core_pattern').read(), open('/proc/self/mountinfo').read())
# -- a module beside the secret
import sys, os
sys.path.insert(0, os.path.dirname($SECRET))
import secret
print(secret)
# -- a file handle
import ctypes
h = ctypes.create_string_buffer(136)
m = ctypes.c_int()
if ctypes.CDLL(None).syscall(303, -100, $SECRET.encode(), h, ctypes.byref(m), 0) != 0: raise OSError
# -- openat2
import ctypes
if ctypes.CDLL(None).syscall(437, -100, $SECRET.encode(), bytes(24), 24) < 0: raise OSError
# -- io_uring
import ctypes
if ctypes.CDLL(None).syscall(425, 8, bytes(120)) < 0: raise OSError
# -- a descriptor of another process
import ctypes
c = ctypes.CDLL(None)
fd = c.syscall(434, $VICTIM, 0)
if fd < 0 or c.syscall(438, fd, 0, 0) < 0: raise OSError
# -- the keyring
import ctypes
if ctypes.CDLL(None).syscall(250, 0, -3, 0) < 0: raise OSError
# -- bpf and perf
import ctypes
c = ctypes.CDLL(None)
if c.syscall(321, 0, bytes(64), 64) < 0 and c.syscall(298, bytes(120), 0, -1, -1, 0) < 0: raise OSError
# -- a call of the x32 kind
import ctypes
ctypes.CDLL(None).syscall(0x40000000 + 2, $SECRET.encode(), 0)
raise OSError
# -- the arguments of the interpreter
import sys
print([a for a in sys.orig_argv if 'parent' in a][0])
# -- the parent's open files
import os
print([os.readlink(f'/proc/{os.getppid()}/fd/{fd}') for fd in range(3)])
# -- around the root
for path in ('/proc/self/root/etc/passwd', '/proc/self/cwd/etc/passwd', '/../etc/passwd', '//etc/passwd'):
    try: print('BREACH', open(path).read()[:10])
    except OSError: pass
raise OSError
# -- relative to every descriptor
import os
for fd in range(64):
    for path in ('.', '..', '../../etc/passwd', 'etc/passwd'):
        try: print('BREACH', os.stat(path, dir_fd=fd), os.open(path, os.O_RDONLY, dir_fd=fd))
        except OSError: pass
raise OSError
# -- lines for a traceback
import linecache
print(linecache.getlines($SECRET)[0])
# -- run as a script
import runpy
print(runpy.run_path($SECRET)['x'])
# -- archives
import zipimport, tarfile
tarfile.open($SECRET, 'r:')
""")
"""What is not theirs: files, metadata, secrets, other processes."""

WRITING = _programs(r"""
# -- write a file
open($TARGET, 'w').write('x')
# -- write to tmp
open('/tmp/hostile', 'w').write('x')
# -- append to the standard library
import os
open(os.__file__, 'a').write('x')
# -- remove a file
import os
os.remove($SECRET)
# -- rename a file
import os
os.rename($SECRET, $TARGET)
# -- make a folder
import os
os.mkdir($TARGET)
# -- change the mode
import os
os.chmod($SECRET, 0o777)
# -- truncate a file
import os
os.truncate($SECRET, 0)
# -- shared memory
from multiprocessing import shared_memory
print(shared_memory.SharedMemory(create=True, size=64))
# -- anonymous file
import os
fd = os.memfd_create('x')
os.write(fd, b'x' * (1 << 20))
print(fd)
# -- change the root
import os
os.chroot('/')
print(1)
# -- mount
import ctypes
print(ctypes.CDLL(None).mount(b'none', b'/', b'tmpfs', 0, None) and 1 / 0)
# -- a hard link
import os
os.link($SECRET, $TARGET)
# -- a pipe with a name
import os
os.mkfifo($TARGET)
# -- times of a file
import os
os.utime($SECRET, (0, 0))
# -- owner of a file
import os
os.chown($SECRET, 1, 1)
# -- attributes of a file
import os
os.setxattr($SECRET, 'user.hostile', b'x')
# -- the caller's standard error
import os
os.write(2, b'HOSTILE')
os.write(1, b'HOSTILE')
raise OSError
# -- the caller's standard error made non-blocking
import fcntl, os
fcntl.fcntl(2, fcntl.F_SETFL, os.O_NONBLOCK)
raise OSError
# -- type into the terminal
import fcntl
for c in 'exit': fcntl.ioctl(2, 0x5412, c)
# -- grow the buffer
import sys
sys.stdout._shared.resize(1 << 30)
# -- temporary files
import tempfile
print(tempfile.mkstemp())
# -- a database
import sqlite3
sqlite3.connect($TARGET).execute('create table t (x)')
""")
"""Files and descriptors of others."""

NETWORK = _programs(r"""
# -- tcp
import socket
s = socket.create_connection(('127.0.0.1', $PORT), 1)
s.send(b'x')
# -- udp
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(b'x', ('127.0.0.1', $PORT))
# -- unix socket
import socket
s = socket.socket(socket.AF_UNIX)
s.connect($SECRET)
# -- abstract socket
import socket
s = socket.socket(socket.AF_UNIX)
s.bind('\0hostile')
s.listen()
print(s)
# -- netlink
import socket
print(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
# -- name lookup
import socket
print(socket.gethostbyname('localhost'))
# -- url
import urllib.request
print(urllib.request.urlopen('http://127.0.0.1:$PORT/', timeout=1).read())
# -- listen
import socket
s = socket.create_server(('127.0.0.1', 0))
print(s)
# -- the kernel's cryptography
import socket
print(socket.socket(38, socket.SOCK_SEQPACKET))
# -- a virtual machine's socket
import socket
print(socket.socket(40, socket.SOCK_STREAM))
# -- socketpair
import socket
print(socket.socketpair())
# -- asyncio
import asyncio
async def go():
    r, w = await asyncio.open_connection('127.0.0.1', $PORT)
asyncio.run(go())
""")
"""Sockets of all kinds."""

PROCESSES = _programs(r"""
# -- subprocess
import subprocess
print(subprocess.run(['/bin/sh', '-c', 'echo x'], capture_output=True))
# -- os.system
import os
print(os.system('touch $PATH') and 1 / 0)
# -- exec
import os
os.execv('/bin/sh', ['sh', '-c', 'echo x'])
# -- fork
import os
if os.fork() == 0:
    while True: pass
# -- fork bomb
import os
while True:
    try: os.fork()
    except OSError: pass
# -- spawn
import os
print(os.posix_spawn('/bin/true', ['true'], {}))
# -- thread
import threading
t = threading.Thread(target=lambda: None)
t.start()
t.join()
# -- thread by hand
import _thread
_thread.start_new_thread(print, ())
# -- process pool
import multiprocessing
print(multiprocessing.Pool(2).map(abs, [1]))
# -- clone by ctypes
import ctypes
print(ctypes.CDLL(None).syscall(56, 0x11, 0, 0, 0, 0))
1 / 0
# -- clone3 by ctypes
import ctypes
b = ctypes.create_string_buffer(88)
print(ctypes.CDLL(None).syscall(435, b, 88))
1 / 0
# -- kill the victim
import os
os.kill($VICTIM, 9)
# -- kill the parent
import os
os.kill(os.getppid(), 9)
# -- kill everything
import os
os.kill(-1, 9)
# -- kill the group
import os
os.killpg(0, 9)
# -- stop the parent
import os, signal
os.kill(os.getppid(), signal.SIGSTOP)
# -- ptrace
import ctypes
print(ctypes.CDLL(None).ptrace(16, $VICTIM, 0, 0) and 1 / 0)
# -- become root
import os
os.setuid(0)
os.setgid(0)
os.setgroups([0])
# -- new namespaces
import ctypes
print(ctypes.CDLL(None).unshare(0x10000000) and 1 / 0)
# -- outlive the parent
import ctypes
print(ctypes.CDLL(None).prctl(1, 0, 0, 0, 0) and 1 / 0)
# -- vfork
import ctypes
if ctypes.CDLL(None).syscall(58) < 0: raise OSError
# -- execveat
import ctypes
if ctypes.CDLL(None).syscall(322, -100, b'/bin/sh', None, None, 0) < 0: raise OSError
# -- a session of its own
import os
os.setsid()
# -- signals by other calls
import ctypes
c = ctypes.CDLL(None)
for call in ((62, $VICTIM, 9), (200, $VICTIM, 9), (234, $VICTIM, $VICTIM, 9), (129, $VICTIM, 9, bytes(128)), (424, 0, 9, 0, 0)):
    if c.syscall(*call) == 0: print('BREACH')
raise OSError
# -- priority of another process
import os
os.setpriority(os.PRIO_PROCESS, $VICTIM, 19)
# -- limits of another process
import resource
resource.prlimit($VICTIM, resource.RLIMIT_CPU, (1, 1))
# -- children of others
import os
print(os.waitpid(-1, 0))
# -- adopt orphans
import ctypes
if ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) < 0: raise OSError
# -- another personality
import ctypes
if ctypes.CDLL(None).syscall(135, 0x0400000) < 0: raise OSError
# -- page faults by hand
import ctypes
if ctypes.CDLL(None).syscall(323, 0) < 0: raise OSError
# -- executable memory
import mmap
print(mmap.mmap(-1, 4096, prot=7))
# -- make memory executable
import ctypes, mmap
m = mmap.mmap(-1, 4096)
a = ctypes.addressof(ctypes.c_char.from_buffer(m))
if ctypes.CDLL(None).mprotect(ctypes.c_void_p(a), 4096, 7) != 0: raise OSError
# -- load a library
import ctypes
print(ctypes.CDLL('libcurl.so.4'))
# -- a thread pool
from concurrent.futures import ThreadPoolExecutor
print(list(ThreadPoolExecutor(2).map(abs, [1])))
# -- a filter of its own
import ctypes
if ctypes.CDLL(None).prctl(22, 2, bytes(16), 0, 0) < 0: raise OSError
# -- by unpickling
import pickle
if pickle.loads(b'cos\nsystem\n(S"touch $PATH"\ntR.') != 0: raise OSError
# -- signals by the owner of a descriptor
import fcntl
for fd in range(64):
    try: print('BREACH', fcntl.fcntl(fd, 8, $VICTIM), fcntl.fcntl(fd, 10, 9))
    except OSError: pass
raise OSError
""")
"""New processes, threads, code; signals to others."""

LIMITS = _programs(r"""
# -- raise limits
import resource
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
# -- 20 GB
x = bytearray(20 << 30)
print(len(x))
# -- 20 GB bit by bit
x = []
while True: x.append(bytearray(1 << 24))
# -- 20 GB of nothing
x = [0] * (20 << 27)
print(len(x))
# -- 20 GB mapped
import mmap
m = mmap.mmap(-1, 20 << 30)
print(len(m))
# -- endless loop
while True: pass
# -- endless loop that catches
while True:
    try:
        while True: pass
    except BaseException: pass
# -- C call without end
import itertools
print(sum(itertools.repeat(1)))
# -- big power
print(len(str(7 ** 7 ** 8)))
# -- regular expression without end
import re
re.match('(a+)+$', 'a' * 40 + 'b')
# -- endless output
while True: print('x' * 1000)
# -- endless output that catches
while True:
    try: print('x' * 1000)
    except BaseException: pass
# -- sleep
import time
time.sleep(1000)
# -- ignore signals
import signal
for s in range(1, 32):
    try: signal.signal(s, signal.SIG_IGN)
    except Exception: pass
while True: pass
# -- an alarm
import signal
signal.signal(signal.SIGALRM, lambda *_: 0)
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
# -- priority
import os
os.nice(-20)
os.sched_setaffinity(0, {0})
# -- deep recursion in C
x = []
for i in range(10 ** 6): x = [x]
print(repr(x)[:10])
# -- deep source
eval('(' * 5000 + '1' + ')' * 5000)
# -- crash
import ctypes
ctypes.string_at(0)
# -- crash by code object
f = lambda: 0
f.__code__ = f.__code__.replace(co_code=b'\x64\xff' * 9, co_consts=())
f()
# -- end at once
import os
os._exit(0)
# -- abort
import os
os.abort()
# -- many descriptors
import os
while True: os.dup(0)
# -- 20 GB of text
x = 'x' * (20 << 30)
# -- 20 GB by a format
print('%20000000000d' % 1)
# -- 20 GB unpacked
import zlib
d = zlib.compress(bytes(1 << 24))
x = [zlib.decompress(d) for _ in range(1280)]
# -- 20 GB of integers
x = list(range(10 ** 10))
# -- 20 GB in a recursion
def f(x): return f(x + x)
f([0])
# -- big shift
x = 1 << (1 << 40)
# -- one line without end
print('x' * 10 ** 8)
# -- an endless message
raise ValueError('x' * 10 ** 7)
# -- text that is no text
print('\ud800')
raise ValueError('\ud800')
# -- an endless name
raise type('E' * 10 ** 7, (Exception,), {'__str__': lambda s: 1 / 0})
# -- a name that is no text
class M(type):
    __name__ = property(lambda c: c)
class E(Exception, metaclass=M): pass
raise E
# -- stack of C
import sys
sys.setrecursionlimit(10 ** 9)
def f(): return f()
f()
# -- deep arithmetic
x = 0
for i in range(10 ** 5): x = (lambda y: lambda: y)(x)
# -- sorting that never compares the same
import random
sorted(range(10 ** 9), key=lambda x: random.random())
# -- a chain that ends too deep in C
x = iter(())
for i in range(10 ** 5): x = map(abs, x)
next(x, None)
# -- a chain that is left to others to take apart
x = iter(())
for i in range(10 ** 5): x = map(abs, x)
# -- generators in generators
def g(y): yield from y
x = iter(())
for i in range(30000): x = g(x)
next(x, None)
""")
"""More memory, time, output than they may have."""

CHANNEL = _programs(r"""
# -- close every descriptor
import os
os.closerange(0, 64)
# -- forge a result
import os
for fd in range(3, 64):
    try: os.write(fd, b'R[0,"ok",null,0.0,0,0,0,false]')
    except OSError: pass
# -- forge results in frames
import os, json
m = json.dumps([[n, 'ok', None, 0.0, 'forged', 0.0, True] for n in range(2000)]).encode()
for fd in range(3, 64):
    try: os.write(fd, len(m).to_bytes(4, 'big') + m)
    except OSError: pass
# -- garbage on the channel
import os
for fd in range(3, 64):
    try: os.write(fd, os.urandom(5000))
    except OSError: pass
# -- flood the channel
import os
while True:
    for fd in range(3, 64):
        try: os.write(fd, b'H')
        except OSError: pass
# -- send descriptors
import socket
for fd in range(3, 64):
    try: socket.send_fds(socket.socket(fileno=fd), [b'R'], [0] * 20)
    except OSError: pass
# -- speak of staying
import os
for fd in range(3, 64):
    try: os.write(fd, b'R[0,"ok",null,0.0,0,0,0,true]')
    except OSError: pass
while True: pass
# -- frames of the harness
try: 1 / 0
except Exception as e: f = e.__traceback__.tb_frame
while f:
    for k, v in f.f_locals.items():
        if 'output' in k or k == 'self': print(k)
    f = f.f_back
1 / 0
# -- spoil the harness
import sys
f = sys._getframe()
while f:
    for k in list(f.f_globals):
        if k[:2] != '__' and k != 'f': f.f_globals[k] = None
    f = f.f_back
# -- objects by the collector
import gc
for o in gc.get_objects():
    if isinstance(o, dict) and 'math' in o: o.clear()
# -- main module
import __main__
for k in list(vars(__main__)): delattr(__main__, k)
# -- audit hook
import sys
def h(*a): raise RuntimeError
sys.addaudithook(h)
# -- trace
import sys
sys.settrace(lambda *a: 1 / 0)
sys.setprofile(lambda *a: None)
# -- exit handlers
import atexit, os
atexit.register(lambda: os.write(3, b'x'))
raise SystemExit
# -- own stdout
import sys
sys.stdout = None
sys.stderr = None
sys.__stdout__ = None
# -- close stdout
import sys
sys.stdout.__class__.write = lambda *a: 1 / 0
# -- forge the header
import sys
sys.stdout._shared[:64] = b'\xff' * 64
while True: pass
# -- a clock that stands still
import sys, struct
sys.stdout._shared[:40] = struct.pack('<QdQdQ', 0, 1e300, 0, 1e300, 0)
while True: pass
# -- a message nested without end
import os
for fd in range(3, 64):
    try: os.write(fd, b'R' + b'[' * 60000)
    except OSError: pass
while True: pass
# -- empty messages
import os
for fd in range(3, 64):
    try: os.write(fd, b'')
    except OSError: pass
    try: __import__('socket').socket(fileno=fd).send(b'')
    except OSError: pass
while True: pass
# -- results of steps that are not there
import os
for n in (99, -1, 1 << 39):
    for fd in range(3, 64):
        try: os.write(fd, b'R[%d,"ok",null,0.0,%d,%d,%d,false]' % (n, 1 << 39, 1 << 39, 1 << 39))
        except OSError: pass
# -- numbers that are none
import os
for fd in range(3, 64):
    try: os.write(fd, b'R[0,"ok",null,1e308,0,0,0,true]R[0,"ok",null,NaN,0,0,0,true]')
    except OSError: pass
# -- read what comes for the zygote
import socket
for fd in range(3, 64):
    try: print(socket.socket(fileno=fd).recv(1000, socket.MSG_DONTWAIT))
    except OSError: pass
# -- a stdout of its own that lies
import sys
class L:
    def write(self, text): return 10 ** 9
    def flush(self): raise SystemExit
sys.stdout = L()
print('x')
# -- swallow the end of output
import sys
sys.stdout._on_limit = lambda: None
while True: print('x' * 1000)
# -- another JSON
import json.encoder
json.encoder.encode_basestring_ascii = lambda s: '"forged"'
json.encoder.c_make_encoder = None
raise ValueError('x')
# -- another os._exit
import os, time, socket
os._exit = lambda n: None
time.process_time = lambda: 0.0
socket.socket.send = None
""")
"""The way their own result takes, and the functions that report it."""

STATE = _programs(r"""
# -- patch builtins
import builtins
builtins.len = lambda x: 42
builtins.print = None
builtins.sum = max
# -- patch math
import math, fractions, statistics, collections, random, itertools, functools, re, decimal
math.sqrt = lambda x: 42
math.pi = 3
del math.cos
# -- patch a class
import math, fractions, statistics, collections, random, itertools, functools, re, decimal
fractions.Fraction.__add__ = lambda a, b: 42
# -- patch a class by setattr
import math, fractions, statistics, collections, random, itertools, functools, re, decimal
setattr(collections.Counter, 'most_common', lambda *a: 42)
# -- patch code
import math, fractions, statistics, collections, random, itertools, functools, re, decimal
statistics.mean.__code__ = (lambda data: 42).__code__
# -- patch defaults
import math, fractions, statistics, collections, random, itertools, functools, re, decimal
statistics.quantiles.__kwdefaults__['n'] = 1
# -- patch by globals
import math, fractions, statistics, collections, random, itertools, functools, re, decimal
statistics.mean.__globals__['_sum'] = lambda d: 42
fractions.Fraction.limit_denominator.__globals__['math'] = None
# -- patch by subclasses
for c in object.__subclasses__():
    try: c.__repr__ = lambda s: '42'
    except Exception: pass
# -- patch the importer
import sys
sys.modules['math'] = None
sys.path.clear()
sys.meta_path.clear()
# -- recursion limit
import sys
sys.setrecursionlimit(50)
# -- decimal precision
import decimal
decimal.getcontext().prec = 3
decimal.DefaultContext.prec = 3
# -- random state
import random
random.seed(1)
random.random = lambda: 0.5
random._inst.random = lambda: 0.5
# -- no collector
import gc
gc.disable()
gc.set_threshold(0)
gc.freeze()
# -- switch interval
import sys
sys.setswitchinterval(1000)
# -- locale
import locale
locale.setlocale(locale.LC_ALL, 'C')
locale.localeconv = None
# -- warnings into errors
import warnings
warnings.simplefilter('error')
# -- environment
import os
os.environ.clear()
os.environ['TZ'] = 'Asia/Tokyo'
import time
time.tzset()
# -- name of the program
__name__ = 'x'
__builtins__ = {}
# -- clear own builtins
(__builtins__ if isinstance(__builtins__, dict) else vars(__builtins__)).clear()
# -- finaliser
class A:
    def __del__(self):
        import builtins
        builtins.len = None
a = A()
b = [a]
b.append(b)
del a, b
# -- generator left open
def g():
    try: yield
    finally:
        while True: pass
x = g()
next(x)
# -- evil equality
class A:
    def __eq__(self, o): return True
    def __hash__(self): return hash(1.5)
import re
re.compile('x')
print(A() == 3)
# -- shared text
a = 'x'
import sys
sys.intern(a)
print(a is 'x')
# -- a finaliser of a generator
def g():
    try: yield
    finally: print('POLLUTED')
x = g()
next(x)
# -- a cycle with a generator
def g():
    try: yield
    except BaseException: print('POLLUTED')
x = [g()]
next(x[0])
x.append(x)
del x
# -- a coroutine
async def c(): pass
x = c()
print(x.cr_frame.f_back, x.cr_code)
# -- a format that leads into objects
def f(): return 1
u = chr(95) * 2
print(('{0.' + u + 'builtins' + u + '[' + u + 'import' + u + '].' + u + 'self' + u + '._results}').format(f))
# -- frames by a format
x = (i for i in range(3))
print('{0.gi_frame.f_back}'.format(x))
# -- attributes by operator
import operator, heapq, math
def f(): return 1
for d in heapq.merge(map(operator.attrgetter('__globals__'), [f])): d['__builtins__'].clear()
# -- methods by operator
import operator, collections
operator.methodcaller('clear')(collections.OrderedDict)
operator.setitem(math.__dict__, 'pi', 3)
# -- the cache of re
import re
re.compile('[0-9]+')
for k in list(re._cache): re._cache[k] = re.compile('never')
# -- the cache of re, emptied in between
import re
re.purge()
re._cache.clear()
re._MAXCACHE = 0
re._compile = lambda *a: None
# -- abstract classes
import typing, collections
typing.Iterable.register(int)
typing.Sequence.register(int)
# -- abstract numbers
import numbers
numbers.Integral.register(str)
# -- copies by another name
import copyreg, copy
copyreg.dispatch_table[list] = lambda x: (list, ())
copy._deepcopy_dispatch[list] = lambda x, memo: []
# -- a context left open
import decimal
decimal.setcontext(decimal.Context(prec=2))
c = decimal.localcontext()
c.__enter__().prec = 3
# -- traps of decimal
import decimal
decimal.getcontext().traps[decimal.Inexact] = True
# -- signal handlers
import signal
signal.signal(signal.SIGALRM, lambda *a: 1 / 0)
signal.alarm(1)
# -- weak references
import weakref, collections
class A: pass
a = A()
weakref.finalize(a, print, 'POLLUTED')
r = weakref.ref(a, lambda r: print('POLLUTED'))
# -- an import hook
import sys, builtins
class F:
    def find_spec(self, *a): raise SystemExit
sys.meta_path.insert(0, F())
builtins.__import__ = lambda *a: None
# -- excepthook, displayhook, unraisablehook
import sys
sys.excepthook = sys.displayhook = sys.unraisablehook = lambda *a: print('POLLUTED')
# -- a debugger
import sys
def t(frame, event, arg):
    frame.f_globals.clear()
    return t
sys.settrace(t)
print(1)
# -- memory of integers
import ctypes
ctypes.c_int.from_address(id(1) + 24).value = 2
# -- memory of text
import ctypes
ctypes.memset(id('math') + 48, 65, 4)
# -- bytes that change
import ctypes
b = b''
ctypes.memset(id(b) + 32, 65, 1)
# -- type flags
import ctypes
ctypes.c_ulong.from_address(id(list) + 168).value |= 1 << 9
list.append = None
# -- threads that stay
import threading, time
def f():
    while True: time.sleep(0.01)
for i in range(10): threading.Thread(target=f, daemon=True).start()
# -- timers
import threading
threading.Timer(0.1, print, ('POLLUTED',)).start()
# -- exceptions kept alive
x = []
def f():
    try: 1 / 0
    except ZeroDivisionError as e: x.append(e)
for i in range(1000): f()
x.append(x)
# -- methods kept from a prefix
l = []
add = l.append
add(1)
print(l)
# -- statistics of its own
import statistics
statistics.mean = statistics.median = lambda x: 42
statistics.NormalDist.mean = 42
# -- type variables
import typing
typing.List = typing.Dict = None
# -- clear the namespace of a function
import fractions
vars(fractions.Fraction)
globals().clear()
# -- an iterator of the library
import itertools
c = itertools.count()
x = itertools.tee(c, 100)
itertools.count = None
# -- integers without end
import sys
sys.set_int_max_str_digits(640)
# -- fault handler
import faulthandler
faulthandler.dump_traceback_later(0.1, repeat=True, exit=True)
# -- memory traced
import tracemalloc
tracemalloc.start(100)
# -- match in a class
class A:
    __match_args__ = ('real',)
match 3:
    case int(real=x): print(x)
# -- slots by descriptor
import fractions
fractions.Fraction._numerator.__set__(fractions.Fraction(1, 2), 7)
# -- an error that keeps the frame
import sys
try: 1 / 0
except ZeroDivisionError as e:
    f = e.__traceback__.tb_frame.f_back
    f.f_builtins['len'] = None
# -- builtins by a function
def f(): pass
f.__builtins__['len'] = lambda x: 42
f.__globals__['__builtins__']['sum'] = lambda x: 42
# -- show
__show__ = None
__builtins__ = None
# -- a format that a jump leads to
def f(): return 1
u = chr(95) * 2
t = '{0.' + u + 'globals' + u + '}'
print((t if f() else 'b').format(f))
# -- random numbers by other letters
import ｒandom as r
r.seed(5)
r.ｒandom = lambda: 0.5
print(r.gauss(0, 1))
# -- methods of library objects in a table of its own
import functools, collections
f = functools.lru_cache(None)(collections.Counter.most_common)
try: f(collections.Counter('a'))
except TypeError: pass
f.cache_clear()
""")
"""What programs after them use."""

NUMERIC = _programs(r"""
# -- numpy errors
import numpy as np
np.seterr(all='raise')
# -- numpy printing
import numpy as np
np.set_printoptions(precision=1)
# -- patch numpy
import numpy as np
np.mean = lambda x: 42
np.linalg.det = None
# -- numpy random
import numpy as np
np.random.seed(3)
np.random.rand = lambda: 0.5
# -- numpy files
import numpy as np
print(np.fromfile($SECRET, dtype='u1'))
# -- numpy memory
import numpy as np
x = np.ones(20 << 27)
print(x.sum())
# -- numpy pickle
import numpy as np
np.save($TARGET, np.ones(3))
# -- numpy wild pointer
import numpy as np
a = np.lib.stride_tricks.as_strided(np.zeros(1), (1 << 20,), (1 << 30,))
print(a.sum())
# -- mpmath precision
import mpmath
mpmath.mp.dps = 3
mpmath.mp.pretty = True
# -- patch sympy
import sympy
sympy.Integer.__add__ = lambda a, b: sympy.Integer(42)
sympy.solve = None
# -- sympy text
import sympy
print(sympy.sympify('__import__("os").system("touch $PATH")'))
# -- sympy text that patches
import sympy
sympy.sympify('setattr(__import__("math"), "pi", 3)')
# -- sympy text by another name
from sympy import *
print(solve('exec("import math; math.pi = 3")'))
# -- sympy lambdify
import sympy
x = sympy.symbols('x')
sympy.lambdify(x, '__import__("math").__dict__.update(pi=3)')(1)
# -- sympy cache
import sympy
from sympy.core.cache import clear_cache
clear_cache()
sympy.core.cache.CACHE.clear()
# -- sympy assumptions
import sympy
x = sympy.Symbol('x')
sympy.Symbol.is_positive = True
sympy.global_parameters = None
# -- sympy printing
import sympy
sympy.init_printing()
sympy.Basic.__str__ = lambda s: '42'
# -- sympy sieve
import sympy
sympy.sieve._list[0] = 4
sympy.sieve.extend(100)
# -- sympy singletons
import sympy
sympy.S.Half.p = 3
sympy.S.One.p = 7
# -- numpy errors left open
import numpy as np
np.errstate(all='raise').__enter__()
# -- memory of others
import numpy as np
print(np.empty(1000).sum() * 0)
# -- numpy buffer made writable
import numpy as np
a = np.frombuffer(b'abcdefgh', dtype='u1')
a.setflags(write=1)
a[0] = 0
# -- numpy shrinks under a view
import numpy as np
a = np.ones(100000)
b = a[10:]
a.resize(10, refcheck=False)
b[:] = 7
# -- numpy text
import numpy as np
np.save($TARGET, np.ones(1))
np.savetxt($TARGET, np.ones(1))
np.memmap($TARGET, mode='w+', shape=1)
# -- numpy evaluates
import numpy as np
print(np.loadtxt($SECRET, dtype=str))
# -- numpy types
import numpy as np
np.float64.real = 3
np.set_printoptions(formatter={'all': lambda x: 'POLLUTED'})
# -- numpy generators
import numpy as np
np.random.set_state(np.random.RandomState(5).get_state())
np.random.mtrand._rand = None
# -- numpy ufuncs
import numpy as np
np.set_numeric_ops = None
np.setbufsize(16)
np.core.umath.add = None
# -- mpmath left open
import mpmath
mpmath.workdps(3).__enter__()
mpmath.mp.prec = 20
mpmath.mp._prec_rounding[0] = 20
# -- mpmath constants
import mpmath
mpmath.pi.func = lambda prec, rnd: 3
mpmath.mp.zero._mpf_ = mpmath.mp.one._mpf_
# -- sympy that does not evaluate
from sympy import evaluate
evaluate(False).__enter__()
import sympy
sympy.core.parameters.global_parameters.evaluate = False
# -- sympy that assumes
import sympy
sympy.assuming(sympy.Q.positive(sympy.Symbol('x'))).__enter__()
sympy.assumptions.assume.global_assumptions.add(sympy.Q.real(sympy.Symbol('x')))
# -- assumptions that all symbols share
import sympy
sympy.Symbol.default_assumptions['positive'] = True
sympy.Integer(3).default_assumptions.clear()
# -- assumptions of one symbol
import sympy
x = sympy.Symbol('x')
x._assumptions['real'] = False
x.assumptions0['real'] = False
# -- what functions of sympy return
from sympy import symbols, factorint, Matrix, Poly, roots, Rational, divisors, primefactors, solve, factor_list, real_roots, eye
x = symbols('x')
for e in (factorint(360), (2*x + 3).as_coefficients_dict(), (x**2*3).as_powers_dict(), Matrix([[1, 2], [3, 4]]).eigenvals(),
          Poly(x**2 - 1, x).as_dict(), roots(x**2 - 1, x), Rational(3, 4).factors()):
    e.clear()
for e in (divisors(12), primefactors(12), solve(x**2 - 3*x + 1, x), Poly(x**2 - 1, x).all_coeffs(), (x + 1).as_ordered_terms(),
          factor_list(x**2 - 1)[1], Poly(x**2 - 1).all_roots(), real_roots(x**2 - 1), Matrix([[1, 2], [3, 4]]).tolist(),
          Matrix([[1, 2], [3, 4]]).eigenvects(), (x*2).as_ordered_factors()):
    e.clear()
m = Matrix([[1, 2], [3, 4]])
m.inv()[0, 0] = 9
m.T[0, 0] = 9
eye(2)[0, 0] = 9
# -- what the geometry of sympy returns
from sympy import Triangle, Point, Polygon
t = Triangle(Point(0, 0), Point(3, 0), Point(0, 4))
for e in (t.angles, t.altitudes, t.medians, t.bisectors(), t.sides, t.vertices, Polygon((0, 0), (1, 0), (1, 1), (0, 1)).angles):
    if isinstance(e, dict): e.clear()
# -- rings of sympy
from sympy import ring, ZZ, QQ
R, x = ring('x', ZZ)
x.clear()
R.one.clear()
R.zero[(0,)] = 5
ZZ[x].gens[0].clear()
# -- printers of sympy
import sympy
sympy.printing.str.StrPrinter.set_global_settings(order='rev-lex')
sympy.printing.str.StrPrinter._print_Add = lambda s, e: 'POLLUTED'
# -- converters of sympy
import sympy
sympy.core.sympify.converter[int] = lambda x: sympy.Integer(42)
sympy.core.sympify._sympy_converter.clear()
# -- handlers of sympy
import sympy
sympy.S.register(type('Evil', (), {}))
sympy.core.singleton.S.Half = sympy.Integer(3)
# -- random numbers of sympy
import sympy.core.random as r
r.seed(3)
r.rng.random = lambda: 0.5
# -- plots of sympy
import sympy
p = sympy.plotting.textplot(sympy.Symbol('x'), 0, 1)
# -- code of sympy
from sympy.utilities.autowrap import autowrap
import sympy
x = sympy.Symbol('x')
print(autowrap(x**2, tempdir='/tmp')(2))
# -- text with attributes
import sympy
sympy.sympify('x.func.__init__.__globals__.clear()')
# -- text with names of its own
import sympy
def f(*a): raise SystemExit
sympy.sympify('f(1)', locals={'f': f})
# -- transformations of text
from sympy.parsing.sympy_parser import parse_expr
print(parse_expr('1', transformations=(lambda t, l, g: [(1, 'print'), (54, '('), (1, '__import__'), (54, ')')],)))
# -- a step of sympy without end
from sympy import *
x = symbols('x')
print(factorint(2**521 * (2**607 - 1) * 3 + 4))
# -- 20 GB in sympy
from sympy import *
x, y, z = symbols('x y z')
expand((x + y + z + 1)**2000)
# -- 20 GB in numpy
import numpy as np
x = [np.ones(1 << 22) for i in range(1000)]
# -- numpy in C without end
import numpy as np
a = np.random.rand(3000, 3000)
while True: a = a @ a
# -- functions of sympy with methods of their own
from sympy import Function, Symbol
u = chr(95) * 2
g = Function('g', **{u + 'dict' + u: {u + 'del' + u: lambda s: print('POLLUTED')}})
h = g(Symbol('x'))
# -- functions of sympy that equal others
from sympy import *
u = chr(95) * 2
x = Symbol('x')
h = hash(x)
E = Function('E', (Symbol,), {u + 'eq' + u: lambda a, b: True, u + 'hash' + u: lambda a: h})
e = E('x')
for f in (sin, cos, exp, sqrt, expand, latex, factor, lambda e: e + 1, lambda e: 2*e + 3, lambda e: e**2 - 3*e + 1):
    try: f(e)
    except Exception: pass
# -- functions of sympy that evaluate otherwise
from sympy import Function, Symbol
f = Function('f', eval=lambda *a: 1 / 0, _eval_is_positive=lambda s: True, fdiff=print)
f(Symbol('x')).diff()
# -- memory of others, left as it was
import numpy as np
print(np.add(np.ones(60), 1, where=False)[:0], np.sqrt(np.ones(4000), **{'whe' + 're': False})[:0])
# -- callbacks that raise in the middle
import mpmath
def f(x): raise KeyboardInterrupt
for g in (lambda: mpmath.quad(f, [0, 1]), lambda: mpmath.diff(f, 1), lambda: mpmath.nsum(f, [1, mpmath.inf]),
          lambda: mpmath.limit(f, 0), lambda: mpmath.findroot(f, 0), lambda: mpmath.polyval([f], 1)):
    try: g()
    except BaseException: pass
# -- a solver that is given the context
import mpmath
def s(ctx, *a, **k):
    ctx.dps = 3
    raise SystemExit
mpmath.findroot(lambda x: x, 1, solver=s)
# -- constants by text
import mpmath
mpmath.identify(3.14, ['__import__("math").__dict__.update(pi=3)'])
# -- a measure that raises
from sympy import *
x = Symbol('x')
def m(e): raise KeyboardInterrupt
for f in (lambda: simplify(sin(x)**2 + cos(x)**2, measure=m), lambda: pretty(x / 2, use_unicode=m),
          lambda: (x + 1).replace(lambda e: 1 / 0, lambda e: e), lambda: latex(x, mul_symbol=m)):
    try: f()
    except BaseException: pass
# -- arrays under arrays
import numpy as np
for a in (np.linspace(0, 1, 3), np.eye(3), np.unique([1, 2]), np.tri(3), np.diagonal(np.eye(2))):
    while a is not None:
        a.flags['WRITEABLE'] = True
        a.fill(7)
        a = a.base
# -- numpy reads a mapped file
import numpy as np
print(np.memmap($SECRET, mode='r')[:10].tobytes(), np.genfromtxt($SECRET))
""")
"""The same with numpy, mpmath and sympy, which have much more to spoil."""
