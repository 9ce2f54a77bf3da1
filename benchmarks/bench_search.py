"""Search in many rows: exact, IVF-PQ, HNSW and spherical codes at a recall of 0.9.

    python benchmarks/bench_search.py [--rows 1000000] [--features 512] [--kinds exact,hnsw]

Rows are drawn from a seeded mixture of normal distributions, and written to a file that is mapped.
Each way runs in a process of its own: seconds to build, bytes a row, queries a second with the
least effort whose recall@10 on held-out queries is 0.9 or more, and its peak memory. Queries come
in one batch of 1 000 and, a few, one by one; faiss's IndexFlat is the exact way's peer. `_cpu` are
the same by the processor's seconds, which depend less on what else the machine does. The last line
is JSON.
"""

import argparse
import json
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

import numpy as np

from decaf.retrieval.codes import make_code
from decaf.retrieval.exact import nearest, nearest_of
from decaf.retrieval.ranking import intersection

KINDS = {
    "exact": "",
    "IndexFlat": "Flat",
    "IVF-PQ": "IVF{lists},PQ64",
    "IVF": "IVF{lists},Flat",
    "HNSW": "hnsw",
    "spherical": "spherical:256",
}
N_QUERIES, K, RECALL, BLOCK = 1000, 10, 0.9, 50_000


def draw(path, n_rows, n_features):
    """Write rows of a mixture whose centres lie in few dimensions, as features of nets do."""
    rng = np.random.default_rng(0)
    basis = rng.standard_normal((32, n_features), dtype=np.float32)
    centres = rng.standard_normal((1000, 32), dtype=np.float32) @ basis
    X = np.lib.format.open_memmap(path, "w+", np.float32, (n_rows + N_QUERIES, n_features))
    for first in range(0, len(X), BLOCK):
        n = min(BLOCK, len(X) - first)
        near = rng.standard_normal((n, 32), dtype=np.float32) @ basis
        noise = rng.standard_normal((n, n_features), dtype=np.float32)
        X[first : first + n] = centres[rng.integers(0, 1000, n)] + 0.7 * near + noise


def timed(function):
    """Return what a function returns, its seconds, and those of the processor."""
    start, cpu_start = perf_counter(), process_time()
    found = function()
    return found, perf_counter() - start, process_time() - cpu_start


def rates(search, queries):
    """Return what is found, and queries a second, in one batch and one by one."""
    found, seconds, cpu = timed(lambda: search(queries))
    some = [queries[i : i + 1] for i in range(10)]
    _, alone, alone_cpu = timed(lambda: [search(one) for one in some])
    n = len(queries)
    return found, {"queries_per_s": n / seconds, "queries_per_s_cpu": n / cpu,
                   "alone_per_s": 10 / alone, "alone_per_s_cpu": 10 / alone_cpu}  # fmt: skip


def find(code, X, effort, queries):
    return nearest_of(queries, X, code.candidates(queries, K, effort), K, "l2")


def measure_exact(X, queries):
    true, found = rates(lambda some: nearest(some, X, K, "l2"), queries)
    np.save(f"{X.filename}.true.npy", true.rows)
    return {"build_s": 0, "bytes_a_row": 4 * X.shape[1], "effort": 0, "recall": 1.0} | found


def measure(kind, X, queries):
    if kind == "exact":
        return measure_exact(X, queries)
    true = np.load(f"{X.filename}.true.npy")
    factory = KINDS[kind].format(lists=int(4 * np.sqrt(len(X))))
    code = make_code(factory, X.shape[1], "l2", 0)

    def build():
        some = np.sort(np.random.default_rng(1).permutation(len(X))[:100_000])
        code.train(X[some])
        for first in range(0, len(X), BLOCK):
            code.add(np.asarray(X[first : first + BLOCK]))

    _, build_s, build_s_cpu = timed(build)
    efforts = [1] if not code.effort_name else [
        e for e in (1, 4, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384) if e <= len(X)
    ]  # fmt: skip
    for effort in efforts:
        search = partial(find, code, X, effort)
        tried, seconds, _ = timed(partial(search, queries[:100]))
        if intersection(tried.rows, true[:100]) >= RECALL:
            break
    n = max(100, min(len(queries), int(100 * 30 / seconds)))  # half a minute at most
    found, per_s = rates(search, queries[:n])
    with TemporaryDirectory() as folder:
        code.save(Path(folder) / "code")
        n_bytes = (Path(folder) / "code").stat().st_size
    return {"build_s": build_s, "build_s_cpu": build_s_cpu, "bytes_a_row": n_bytes / len(X),
            "effort": effort, "recall": intersection(found.rows, true[:n])} | per_s  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=512)
    parser.add_argument("--kinds", default=",".join(KINDS), help="exact first: it is the truth")
    parser.add_argument("--file", type=Path, help="where the rows are kept; made if missing")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        X = np.load(arguments.file, mmap_mode="r")
        found = measure(arguments.one, X[: arguments.rows], np.array(X[arguments.rows :]))
        found["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps(found))
        return
    with TemporaryDirectory() as folder:
        file = arguments.file or Path(folder) / "rows.npy"
        if not file.exists():
            draw(file, arguments.rows, arguments.features)
        results = {}
        for kind in arguments.kinds.split(","):
            command = [sys.executable, __file__, "--rows", str(arguments.rows), "--file", str(file)]
            done = subprocess.run(
                [*command, "--one", kind], capture_output=True, text=True, check=False
            )
            lines = done.stdout.splitlines()
            results[kind] = json.loads(lines[-1]) if done.returncode == 0 else done.stderr[-300:]
            print(kind, results[kind], flush=True)
    print(json.dumps({"rows": arguments.rows, "features": arguments.features, "results": results}))


if __name__ == "__main__":
    main()
