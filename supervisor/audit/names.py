"""What the audit knows of modules and names. Whatever is not known to be harmless is flagged."""

from __future__ import annotations

from supervisor.audit.rules import Ground

# Whole modules, or with a dot everything below them too.
HARMLESS = (
    "__future__ math cmath dataclasses typing typing_extensions functools itertools collections collections.abc "
    "contextlib enum abc copy time statistics fractions decimal numbers bisect heapq string re textwrap warnings "
    "einops opt_einsum prepare sys random numpy numpy.linalg numpy.typing scipy scipy.special scipy.linalg "
    "torch torch.nn. torch.optim. torch.amp torch.cuda torch.cuda.amp torch.backends. torch.autograd. torch.func "
    "torch.linalg torch.fft torch.special torch.distributions. torch.utils.checkpoint torch.compiler torch.types "
    "torch.utils torch.nested torch.sparse torch.ao. torch.mps torch.cpu torch.cpu.amp torch.random torch.profiler "
    "torch._dynamo torch._inductor torch._dynamo.config torch._inductor.config"
).split()

MODULE_GROUNDS = {
    Ground.FILES: "os pathlib io shutil tempfile glob mmap pickle shelve dbm sqlite3 zipfile tarfile linecache pkgutil "
    "tokenize fileinput fcntl csv configparser tomllib logging pydoc stat posix nt safetensors h5py pandas datasets "
    "corpus",  # our own: with the source `python` it reads what the holdout is made of
    Ground.EXEC: "importlib builtins runpy code codeop types inspect gc operator ast dis marshal imp site sysconfig "
    "traceback weakref pdb bdb trace faulthandler zipimport json.tool torch.overrides torch.library torch.package "
    "torch.utils._python_dispatch torch.fx torch.utils._pytree torch.serialization torch._C torch.storage",
    Ground.PROCESS: "subprocess multiprocessing threading concurrent asyncio signal atexit sched queue resource psutil "
    "pty torch.multiprocessing torch.distributed torch.utils.data torch.futures joblib",
    Ground.NETWORK: "socket ssl urllib http requests ftplib smtplib socketserver xmlrpc select selectors aiohttp httpx "
    "torch.hub webbrowser.open",
    Ground.NATIVE: "ctypes cffi numba triton cupy torch.utils.cpp_extension torch.ops.load_library pybind11 cython",
    Ground.DATA: "base64 zlib binascii codecs lzma bz2 gzip quopri uu",
}
GROUND_OF_MODULE = {name: ground for ground, names in MODULE_GROUNDS.items() for name in names.split()}

# What of the referee a canvas may use.
PUBLIC = frozenset("seed device vocab_size sequence_length warm_up batches watch finish".split())
STREAM = frozenset("steps tokens fraction elapsed_s".split())

BUILTINS = {
    **dict.fromkeys("open input".split(), Ground.FILES),
    **dict.fromkeys(
        "eval exec compile __import__ globals locals vars breakpoint __builtins__".split(), Ground.EXEC
    ),
    **dict.fromkeys("__loader__ __spec__".split(), Ground.EXEC),
    "__file__": Ground.FILES,
}
COMPUTED_ATTRIBUTE = frozenset("getattr setattr delattr hasattr".split())

# Attributes that mean the same whoever they are asked of.
ATTRIBUTES = {
    **dict.fromkeys(
        "read_text read_bytes write_text write_bytes tofile fromfile memmap from_file loadtxt savetxt genfromtxt "
        "open_memmap safetensors".split(),
        Ground.FILES,
    ),
    **dict.fromkeys(
        "fork Popen popen spawn Thread Process sched_setaffinity setpriority".split(), Ground.PROCESS
    ),
    **dict.fromkeys(
        "register_module_forward_hook register_module_forward_pre_hook register_module_full_backward_hook "
        "register_module_backward_hook __torch_function__ __torch_dispatch__".split(),
        Ground.PATCHED,
    ),
    **dict.fromkeys("is_grad_enabled is_inference_mode_enabled is_inference".split(), Ground.EVALUATION),
}
CALLS = {
    **dict.fromkeys(
        "torch.load torch.save torch.jit.load torch.jit.save numpy.load numpy.save numpy.savez torch.export.load "
        "torch.utils.model_zoo.load_url".split(),
        Ground.FILES,
    ),
    "torch.ops.load_library": Ground.NATIVE,
    "time.sleep": Ground.CLOCK,
    **dict.fromkeys(
        "operator.attrgetter operator.methodcaller functools.singledispatch".split(), Ground.EXEC
    ),
}
SEEDERS = frozenset(
    "manual_seed manual_seed_all seed seed_all set_rng_state set_rng_state_all set_state setstate default_rng "
    "RandomState Generator Random SystemRandom fork_rng urandom initial_seed".split()
)
RANDOM_ROOTS = frozenset(("torch", "numpy", "random"))

DUNDERS = frozenset(
    "__init__ __call__ __name__ __len__ __getitem__ __iter__ __next__ __enter__ __exit__ __post_init__ __repr__ "
    "__version__ __main__ __doc__ __str__ __setitem__ __contains__ __future__ __slots__ __all__ __annotations__".split()
)
SYS_HARMLESS = frozenset("stdout stderr platform version_info maxsize float_info version".split())
# A private name of torch is a way in; these are settings and fast loops that honest code uses.
PRIVATE_HARMLESS = (
    "torch._foreach_",
    "torch._dynamo",
    "torch._inductor",
    "torch._scaled_mm",
    "torch._fused_",
)
SETTABLE = ("torch.backends.", "torch._dynamo.config.", "torch._inductor.config.")

# What the evaluation relies on: a module that answers these otherwise can hide what it does.
RELIED_ON = frozenset(
    "eval train state_dict named_parameters parameters named_buffers buffers modules named_modules children "
    "named_children _apply requires_grad_".split()
)
TENSOR_BASES = frozenset(
    "torch.Tensor torch.nn.Parameter torch.nn.Buffer torch.overrides.TorchFunctionMode "
    "torch.utils._python_dispatch.TorchDispatchMode".split()
)
MUTATORS = frozenset("append extend add update setdefault insert pop popitem clear __setitem__ push".split())


def ground_of_import(module: str) -> Ground | None:
    """Why an import is flagged; None for what is harmless."""
    parts = module.split(".")
    for end in range(len(parts), 0, -1):
        prefix = ".".join(parts[:end])
        if prefix in GROUND_OF_MODULE:
            return GROUND_OF_MODULE[prefix]
        if f"{prefix}." in HARMLESS or (end == len(parts) and prefix in HARMLESS):
            return None
    return Ground.IMPORT
