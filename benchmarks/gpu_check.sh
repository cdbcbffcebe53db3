#!/bin/sh
# On a machine with a GPU, from a bare checkout with torch and tokenizers: what the wall costs there, in about four minutes.
#   sh benchmarks/gpu_check.sh
# The same canvas (the preset for an H100, compiled) on the same text for a minute each, once with the referee in a
# process of its own and once answering in one process, by CUDA's own memory: tokens per second, seconds of the
# evaluation, memory. Then a referee that is killed.
set -u
here=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$(command -v python3 || command -v python)}
exec "$python" "$here/benchmarks/gpu_check.py" "$@"
