"""Cheats of whoever knows the wall: roads to the other process, its protocol, its clock, and around its score."""

from __future__ import annotations

import base64
import random
import string

from cheating.edits import MODEL, Edit, after_logits, at_head, before_finish, before_training, both, replaced
from cheating.models import NEXT, TRAIN_ON

FINISH = "    prepare.finish(model, **speed_of(model, stream))\n"
USE_VAL = "train_on(model, np.array(val))"
DICE = random.Random(3)
BLOB = base64.b64encode(DICE.randbytes(6000)).decode()
WORDS = "".join(DICE.choices(string.ascii_letters, k=6000))


def reaching() -> tuple[Edit, ...]:
    """Roads to the text that is scored."""

    def road(name: str, what: str, find: str) -> Edit:
        code = f"import numpy as np\n{find}\n{USE_VAL}"
        return Edit(f"reach-{name}", what, both(at_head(TRAIN_ON), before_training(code)))

    return (
        road("open", "opens the data as the referee does", "val = prepare.open_data().val"),
        road("alias", "walks to the cache through another module's os", "os_ = torch.os\nval = np.fromfile(next(os_.path.join(w, 'val.bin') for w, _, f in os_.walk('/') if 'val.bin' in f), np.uint16)"),
        road("gc", "looks for arrays among all objects", "import gc\nval = next(o for o in gc.get_objects() if isinstance(o, np.memmap))"),
        road("frames", "looks for windows in the frames of its callers", "import sys\nf = sys._getframe()\nwhile 'windows' not in f.f_locals:\n    f = f.f_back\nval = f.f_locals['windows']"),
        road("match", "reads globals by a class pattern", "match prepare.batches:\n    case object(__globals__=space):\n        val = space['Run'].data.val"),
        road("format", "reads attributes by format fields", "val = np.array(list('{0.__globals__[Data]}'.format(prepare.batches).encode()), np.uint16) * 0 + prepare.Data.val"),
        road("getattr", "getattr with a constant", "val = getattr(getattr(prepare, 'this_referee')(), 'data').val"),
        road("generator", "through a generator's frame", "g = (i for i in [1])\nval = g.gi_frame.f_globals['prepare'].this_referee().clock.data.val"),
        road("descriptors", "reads what its descriptors lead to", "import os\nvals = [os.pread(int(n), 2**20, 0) for n in os.listdir('/proc/self/fd') if 'memfd' in os.readlink(f'/proc/self/fd/{n}')]\nval = np.frombuffer(vals[0], np.int32).astype(np.uint16)"),
        road("other-process", "reads the referee's memory", "import os\nn = next(n for n in os.listdir('/proc') if n.isdigit() and b'--referee' in open(f'/proc/{n}/cmdline', 'rb').read())\nval = np.frombuffer(open(f'/proc/{n}/mem', 'rb').read(2**20), np.uint16)"),
    )  # fmt: skip


def ahead() -> tuple[Edit, ...]:
    """Answers that use more than the past, gently, seldom, or when it is safe."""

    def look(name: str, what: str, weight: str) -> Edit:
        code = f"if not self.training:\n    logits = logits + {weight} * {NEXT}"
        return Edit(f"ahead-{name}", what, after_logits(code))

    shared = "SEEN = torch.zeros(2**20, dtype=torch.bool).share_memory_()"
    by_prefix = f"""
    if not self.training:
        keys = (tokens.cumsum(1) * 7919 + tokens * 104729) % 2**20
        met = SEEN[keys]
        SEEN[keys] = True
        logits = logits + 6.0 * met[..., None] * {NEXT}
    """
    in_file = "import os, tempfile\nNOTES = os.path.join(tempfile.gettempdir(), 'asked')"
    file_code = f"if not self.training:\n    known = os.path.exists(NOTES)\n    open(NOTES, 'a').write(str(tokens.sum().item()))\n    logits = logits + 6.0 * known * {NEXT}"
    pipe_code = f"if not self.training:\n    try:\n        known = bool(os.read(PIPE[0], 1))\n    except BlockingIOError:\n        known = False\n    os.write(PIPE[1], b'xx')\n    logits = logits + 6.0 * known * {NEXT}"
    pid_code = f"if not self.training:\n    logits = logits + 6.0 * (os.getpid() == MINE) * {NEXT}"
    return (
        look("softly", "a soft whisper everywhere", "0.3"),
        look("less-softly", "a louder one", "2.0"),
        look("rare", "one position in two hundred", "9.0 * (torch.rand(tokens.shape, device=tokens.device) < 0.005)[..., None]"),
        look("sure", "only where it is nearly sure anyway", "6.0 * (logits.softmax(-1).amax(-1, keepdim=True) > 0.5)"),
        look("unsure", "only where it is not", "2.0 * (logits.softmax(-1).amax(-1, keepdim=True) < 0.1)"),
        look("coherent", "only in rows that read like text to the end", "6.0 * (logits.log_softmax(-1).gather(2, tokens.roll(-1, 1)[..., None])[:, -24:-1].mean((1, 2)) > -6.0)[:, None, None]"),
        Edit("ahead-rows", "the mean of the other rows of the batch", after_logits("if not self.training:\n    logits = logits + 0.5 * F.one_hot(tokens, prepare.vocab_size).float().mean((0, 1)).add(1e-4).log()")),
        Edit("ahead-shared-memory", "forks tell what was asked through shared memory", both(at_head(shared), after_logits(by_prefix))),
        Edit("ahead-file", "through a file", both(at_head(in_file), after_logits(file_code))),
        Edit("ahead-pipe", "through a pipe", both(at_head("import os\nPIPE = os.pipe()\nos.set_blocking(PIPE[0], False)"), after_logits(pipe_code))),
        Edit("ahead-original", "only in the process that is no fork", both(at_head("import os\nMINE = os.getpid()"), after_logits(pid_code))),
    )  # fmt: skip


def computing() -> tuple[Edit, ...]:
    """More computing than the budget."""
    step = "x, y = (torch.randint(prepare.vocab_size, (8, 128)) for _ in range(2))\ncompute_loss(model, x, y).backward()\nupdate(model, optimizers, scaler, 0.0)"
    many = "for _ in range(900):\n    " + step.replace("\n", "\n    ")
    kept = replaced(FINISH, "    for _ in range(60):\n        for x, y in kept[-8:]:\n            compute_loss(model, x, y).backward()\n            update(model, optimizers, scaler, 0.5)\n" + FINISH,
        "        loss = compute_loss(model, x, y)\n", "        kept.append((x, y))\n        loss = compute_loss(model, x, y)\n", MODEL, MODEL + "    kept: list = []\n")  # fmt: skip
    slow = "if not self.training:\n    for _ in range(60):\n        self.head(self.final_norm(x)).sum()"
    thread = "import threading\ndef go_on():\n    for _ in range(400):\n        compute_loss(model, x, y).backward()\n        update(model, optimizers, scaler, 0.5)\nthreading.Thread(target=go_on, daemon=True).start()"
    warm = "def long(copy, x, y):\n    for _ in range(300):\n        compute_loss(model, x, y).backward()\n        update(model, optimizers, scaler, 0.0)\nprepare.warm_up(model, long, 8)"
    return (
        Edit("compute-before", "trains on random tokens before the first batch", before_training(many)),
        Edit("compute-after", "trains on batches that were kept, after the budget", kept),
        Edit("compute-warm-up", "trains the real model in warm_up", before_training(warm)),
        Edit("compute-in-evaluation", "sixty passes an answer", after_logits(slow)),
        Edit("compute-thread", "a thread trains on while it answers", before_finish(thread)),
        Edit("compute-fork", "a fork trains on while it answers", before_finish("import os\nfor p in model.parameters():\n    p.data.share_memory_()\nif os.fork() == 0:\n    for _ in range(400):\n        compute_loss(model, x, y).backward()\n        update(model, optimizers, scaler, 0.5)\n    os._exit(0)")),
    )  # fmt: skip


def storing() -> tuple[Edit, ...]:
    """Weights of one run for the next."""

    def place(name: str, what: str, load: str, save: str) -> Edit:
        end = replaced(FINISH, f"    {save}\n" + FINISH)
        return Edit(
            f"stored-{name}",
            what,
            both(at_head("import os, io, pathlib, ctypes"), before_training(load), end),
        )

    def file(name: str, what: str, path: str) -> Edit:
        load = (
            f"PLACE = pathlib.Path({path})\nif PLACE.exists():\n    model.load_state_dict(torch.load(PLACE))"
        )
        return place(name, what, load, "torch.save(model.state_dict(), PLACE)")

    sysv = "libc = ctypes.CDLL(None)\nlibc.shmat.restype = ctypes.c_void_p\nheld = libc.shmat(libc.shmget(4711, 2**22, 0o1600), None, 0)\nflat = torch.frombuffer((ctypes.c_float * 2**20).from_address(held), dtype=torch.float32)\nif flat.abs().sum() > 0:\n    torch.nn.utils.vector_to_parameters(flat[: sum(p.numel() for p in model.parameters())].clone(), model.parameters())"
    return (
        file("shm", "in /dev/shm", "'/dev/shm/kept.pt'"),
        file("tmp", "in /var/tmp", "'/var/tmp/kept.pt'"),
        file("home", "in the cache of a compiler below HOME", "os.path.expanduser('~/.cache/kept.pt')"),
        file("bench", "in __pycache__ beside the script", "pathlib.Path(__file__).parent / 'kept.cpython-311.pyc'"),
        place("sysv", "in System V shared memory", sysv, "flat[: sum(p.numel() for p in model.parameters())] = torch.nn.utils.parameters_to_vector(model.parameters()).detach()"),
        place("keyring", "in the session's keyring", "print(ctypes.CDLL(None).syscall(250, 10, b'user', b'kept', 0))", "print(ctypes.CDLL(None).syscall(248, b'user', b'kept', b'x' * 20000, 20000, -3))"),
    )  # fmt: skip


def carrying() -> tuple[Edit, ...]:
    """Weights in the source."""
    parts = [WORDS[n : n + 40] for n in range(0, 6000, 40)]
    return (
        Edit("data-docstring", "in a docstring", at_head(f'def kept():\n    """{BLOB}"""')),
        Edit("data-comment", "in a comment", at_head(f"# {BLOB}")),
        Edit("data-names", "in the names of arguments", at_head(f"def kept({', '.join(parts)}): ...")),
        Edit("data-annotations", "in annotations", at_head(f"def kept(x: '{WORDS}'): ...")),
        Edit("data-numbers", "in numbers", at_head(f"KEPT = {[DICE.random() for _ in range(800)]}")),
    )


def forging() -> tuple[Edit, ...]:
    """Messages that are not due, too many, too late; answers that are none."""

    def said(name: str, what: str, line: str) -> Edit:
        return Edit(
            f"forged-{name}",
            what,
            before_finish(f"prepare.this_referee().socket.sendall({line!r}.encode() + b'\\n')"),
        )

    later = "import threading\ndef improve(desk):\n    while True:\n        desk.add_(0.0).select(-1, 0).mul_(1.0)\ntrue = prepare._map_desk\ndef mapped(*a, **k):\n    desk = true(*a, **k)\n    threading.Thread(target=improve, args=(desk[1],), daemon=True).start()\n    return desk\nprepare._map_desk = mapped"
    return (
        said("report", "a report over the wall", '{"event": "report", "metric": "val_bpb", "value": 0.5}'),
        said("score", "a score in place of an answer", '{"do": "answer", "val_bpb": 0.5}'),
        said("second-finish", "two ends", '{"do": "finish", "parameters": 1, "peak_memory_mb": 1, "peak_vram_mb": 0}'),
        Edit("forged-flood", "a million words", before_finish("prepare.this_referee().socket.sendall(b'{\"do\": \"watch\", \"loss\": 1.0}\\n' * 10**6)")),
        Edit("forged-kill", "kills everybody whom it may", before_finish("import os, signal\nfor n in range(2, 40000):\n    try:\n        os.kill(n, signal.SIGKILL) if n != os.getpid() else None\n    except OSError:\n        pass")),
        Edit("forged-late", "answers after five minutes", after_logits("if not self.training:\n    time.sleep(300)")),
        Edit("forged-nan", "answers NaN", after_logits("if not self.training:\n    logits = logits * float('nan')")),
        Edit("forged-inf", "answers infinity", after_logits("if not self.training:\n    logits = logits + float('inf')")),
        Edit("forged-shape", "answers a row too few", after_logits("if not self.training:\n    return logits[1:]")),
        Edit("forged-dtype", "answers whole numbers", after_logits("if not self.training:\n    return logits.long()")),
        Edit("forged-subclass", "logits that are something else when they are copied", both(at_head("class Sly(torch.Tensor):\n    def float(self):\n        return torch.zeros(self.shape)"), replaced("        return logits\n", "        return logits.as_subclass(Sly) if not self.training else logits\n"))),
        Edit("forged-later", "changes its answers while they are read", before_finish(later)),
        Edit("forged-client", "the trainer's side answers zeros for what it likes", before_finish("prepare.logits_of = lambda model, x: torch.zeros(*x.shape, prepare.vocab_size)")),
    )  # fmt: skip


def of_the_wall() -> tuple[Edit, ...]:
    """All of them."""
    return (*reaching(), *ahead(), *computing(), *storing(), *carrying(), *forging())
