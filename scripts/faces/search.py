#!/usr/bin/env python3
"""faiss and usearch on the gallery that `till bench search --output DIR` made, one search after the other on one thread.

    python3 -m venv venv && venv/bin/pip install numpy faiss-cpu usearch
    till bench search --output DIR
    venv/bin/python scripts/faces/search.py DIR

Prints for each index the time of a search, of which a tenth was quicker, as `till bench search` does, and how often it
finds the nearest vector: of members, who have near ones, and of strangers, who have none.
"""
import os
import sys
import time

os.environ["OMP_NUM_THREADS"] = "1"

import faiss
import numpy as np
from usearch.index import Index

SIZE = 192


def load(folder, name):
    return np.fromfile(os.path.join(folder, name), dtype="<f4").reshape(-1, SIZE)


def measure(name, built_s, search, probes, truth):
    times, hits = [], [[], []]
    for i, (probe, expected) in enumerate(zip(probes, truth)):
        begun = time.perf_counter()
        found = search(probe)
        times.append((time.perf_counter() - begun) * 1e3)
        hits[i % 2].append(int(found[0]) == expected)
    tenth = sorted(times)[len(times) // 10]
    members, strangers = (sum(h) / max(len(h), 1) for h in hits)
    print(f"| {name} | {tenth:.3f} ms | {members:.3f} | {strangers:.3f} | {built_s:.1f} s |", flush=True)


def main():
    vectors, probes = load(sys.argv[1], "templates.f32"), load(sys.argv[1], "probes.f32")
    faiss.omp_set_num_threads(1)
    truth = np.argmax(probes @ vectors.T, axis=1)
    print(f"{len(vectors)} vectors, {len(probes)} probes; faiss {faiss.__version__}")
    print("| index | search | nearest of members | nearest of strangers | built in |\n|---|---|---|---|---|")

    begun = time.perf_counter()
    flat = faiss.IndexFlatIP(SIZE)
    flat.add(vectors)
    built = time.perf_counter() - begun
    measure("faiss, flat", built, lambda p: flat.search(p[None], 2)[1][0], probes, truth)

    begun = time.perf_counter()
    half = faiss.IndexScalarQuantizer(SIZE, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    half.train(vectors)
    half.add(vectors)
    built = time.perf_counter() - begun
    measure("faiss, flat, fp16", built, lambda p: half.search(p[None], 2)[1][0], probes, truth)

    begun = time.perf_counter()
    graph = Index(ndim=SIZE, metric="ip", dtype="f32", connectivity=16, expansion_add=128, expansion_search=64)
    graph.add(np.arange(len(vectors)), vectors, threads=1)
    built = time.perf_counter() - begun
    for expansion in (64, 256, 1024):
        graph.expansion_search = expansion
        search = lambda p: graph.search(p, 2, threads=1).keys
        measure(f"usearch, HNSW, ef {expansion}", built, search, probes, truth)


main()
