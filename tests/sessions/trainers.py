"""Trainers for the runner's tests: small programs that speak the referee's protocol over a plain socket."""

from __future__ import annotations

HEAD = """
import json, os, signal, socket, subprocess, sys, time
wire = socket.socket(fileno=int(os.environ["AUTORESEARCH_CHANNEL"])).makefile("rw")
task = json.loads(wire.readline())
def say(event, **rest):
    wire.write(json.dumps({"event": event, **rest}) + "\\n")
    wire.flush()
def burn(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        sum(range(1000))
def train(seconds=0.2):
    say("phase", phase="warm-up")
    say("phase", phase="training")
    seconds = 0.02 if task["smoke"] else seconds
    burn(seconds)
    told.update(steps=12, tokens=3456, training_s=seconds)
    say("phase", phase="evaluating", **told)
told = {}
def report(value=1.75, **rest):
    same = {key: task[key] for key in ("seed", "budget_s", "clock")}
    say("report", metric="val_bpb", value=value, parameters=789, **{**same, **told, **rest})
def forever():
    while True:
        time.sleep(60)
"""

OK = """
print("hello from", "smoke" if task["smoke"] else "run", flush=True)
train()
say("progress", fraction=0.5, elapsed_s=0.1, step=6, loss=3.1, tokens_per_s=22000)
report()
"""
CRASH = """
train()
def deep():
    return foo
deep()
"""
CRASH_IN_EARNEST = "train()\nif not task['smoke']:\n    raise ValueError('only\\nin earnest')\nreport()"
SYNTAX = "def broken(:\n"
HANG = """
if task["smoke"]:
    train()
    report()
else:
    say("phase", phase="training")
    forever()
"""
NAN = "train()\nreport(float('nan'))"
DIVERGED = "train()\nsay('crash', reason='diverged: loss is nan at step 12')\nsys.exit(1)"
NO_RESULT = "train()\nprint('all done')"
TWO = "train()\nreport(1.75)\nreport(1.25)"
TWICE_THE_SAME = "train()\nreport()\nreport()"
REJECTED = "train()\nsay('rejected', reason='causality: logits at 3 saw token 9')\nreport(0.06)\nsys.exit(1)"
ANOTHER_SEED = "train()\nreport(seed=1)"
UNTRAINED = "report()"
FAILS_AFTER_REPORT = "train()\nreport()\nsys.exit(3)"
NOISE_ON_THE_WIRE = """
wire.write("not json\\n[1]\\n{}\\n" + "x" * 200000 + "\\n")
train()
wire.write('{"event": "progress", "fraction": 1' + "0" * 400 + ', "step": "six"}\\n' + "[" * 100000 + "\\n")
report()
"""
CUDA_MEMORY = """
train()
class OutOfMemoryError(RuntimeError): ...
raise OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
"""
MEMORY = """
import resource
train()
resource.setrlimit(resource.RLIMIT_AS, (2**28, 2**28))
bytearray(2**30)
"""
SIGNALLED = "train()\nprint('then', flush=True)\nos.kill(os.getpid(), signal.SIGSEGV)"
CHATTY = "train()\nfor i in range(3000):\n    print(i, 'x' * 1000)\nprint('the end')\nreport()"

# Every way to leave a child behind; they write their pids where the test finds them.
HELPERS = """
SLEEP = "import os, sys, time; open(sys.argv[1] + str(os.getpid()), 'w'); time.sleep(600)"
def helper(**rest):
    return subprocess.Popen([sys.executable, "-c", SLEEP, "pids/"], **rest)
os.makedirs("pids", exist_ok=True)
helper()
helper(start_new_session=True)
helper(preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
helper(preexec_fn=lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN))
subprocess.run(["/bin/sh", "-c", 'setsid setsid "$@" & exit 0', "sh", sys.executable, "-c", SLEEP, "pids/"])
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv(sys.executable, [sys.executable, "-c", SLEEP, "pids/"])
    os._exit(0)
while len(os.listdir("pids")) < 6:
    time.sleep(0.01)
"""
LEAVES_HELPERS = HELPERS + "train()\nreport()"
HELPERS_THEN_HANG = HELPERS + "say('phase', phase='training')\nprint('hanging', flush=True)\nforever()"
HIDDEN_HELPER = """
program = "import time; print('up', flush=True); time.sleep(600)"
helper = subprocess.Popen(
    [sys.executable, "-c", program, "hidden-helper"], env={}, start_new_session=True, stdout=subprocess.PIPE
)
helper.stdout.readline()
print("hanging", flush=True)
forever()
"""
BURNS_IN_CHILDREN = """
say("phase", phase="training")
for _ in range(3):
    subprocess.run([sys.executable, "-c", "import time\\nwhile time.process_time() < 0.3: pass"])
say("phase", phase="evaluating")
report()
"""
FOREIGN = (
    "print('val_bpb: 9.0')\nprint('noise val_bpb: 1')\nprint('---\\nval_bpb:          1.625\\nsteps: 3')"
)
