"""Durable trials per second through the whole service, against Optuna's RDB storage on the same Postgres.

    python tests/benchmarks/bench_throughput.py --out tests/benchmarks/results/throughput

A table of 248,832 architectures is sent over REST; then searches run from the request to the committed end, with the
API, the dispatcher and its workers as processes of their own. Optuna gets the same choices, the same two objectives
and a database of its own on the same server, whose settings are those of the product (fsync on). One run measures both,
in turn. A search of 100,000 trials shows memory over its course, and then how fast its pages and fronts are served.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import psutil
from sqlalchemy import create_engine, make_url, text

from nas_service.cli.prepare import prepare
from nas_service.client import Client
from nas_service.settings import Settings
from nas_service.storage import keys
from nas_service.storage.embedded import EmbeddedPostgres
from nas_service.storage.session import make_engine, unit_of_work

CHOICES, OPTIONS = 5, 12


def value_of(choices):
    """Two objectives in conflict, rugged and without noise: (accuracy in percent, latency in ms)."""
    size = sum((i + 1) * c for i, c in enumerate(choices))
    rugged = np.sin(3.7 * choices[0] + 1.3 * choices[1] * choices[2]) + np.cos(2.1 * choices[3] - choices[4])
    return float(95 - 300 / (10 + size) + rugged), float(1 + 0.2 * size + 0.5 * np.sin(choices[2] * choices[4]))


def rows():
    for choices in np.ndindex(*(OPTIONS,) * CHOICES):
        yield [*(int(c) for c in choices), *value_of(choices)]


@contextmanager
def service(postgres_url, home):
    """The API and the dispatcher (child processes instead of Ray) on a fresh database; yields client and processes."""
    database_url = new_database(postgres_url, "nas_bench")
    settings = replace(Settings.from_environment({"NAS_HOME": str(home)}), database_url=database_url)
    engine = make_engine(database_url)
    prepare(engine, settings)
    with unit_of_work(engine) as session:
        key = keys.create_key(session, "bench", ["admin"], 24 * 3600.0).token
    engine.dispose()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "NAS_HOME": str(home),
        "NAS_DATABASE_URL": database_url,
        "NAS_PORT": str(port),
        "NAS_RAY_ADDRESS": "none",
        "OMP_NUM_THREADS": "1",
        "NAS_RATE_PER_S": "100000",  # else reads would be measured as fast as one key may ask
    }
    parts = {"api": ("-m", "nas_service.cli.main", "serve"), "dispatcher": ("-m", "workers.dispatch")}
    processes = {}
    try:
        for name, arguments in parts.items():
            log = (home / f"{name}.log").open("ab")
            processes[name] = subprocess.Popen(
                [sys.executable, *arguments], env=environment, stdout=log, stderr=log, start_new_session=True
            )
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(f"{url}/readyz"), 120)
        with Client(url, key) as nas:
            yield nas, {name: psutil.Process(process.pid) for name, process in processes.items()}
    finally:
        for process in processes.values():
            os.killpg(process.pid, signal.SIGTERM)
        for process in processes.values():
            process.wait(timeout=30)


def new_database(postgres_url, name):
    admin = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    admin.dispose()
    return make_url(postgres_url).set(database=name).render_as_string(hide_password=False)


def answers(url):
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def wait_until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.05)


def send_table(nas):
    """Send the table; seconds it took."""
    began = time.perf_counter()
    names = [f"c{i}" for i in range(CHOICES)]
    metrics = [
        {"name": "accuracy", "goal": "maximize", "unit": "percent"},
        {"name": "latency_ms", "goal": "minimize", "unit": "ms"},
    ]
    nas.add_table({"name": "bench", "choices": names, "metrics": metrics}, rows())
    return time.perf_counter() - began


def search(nas, strategy, trials, seed, watch=lambda now: None):
    """Seconds from the request to the end of a search, and the search."""
    began = time.perf_counter()
    body = {
        "name": f"{strategy}, {trials}",
        "evaluator": {"kind": "table", "table": "bench"},
        "objectives": [{"metric": "accuracy"}, {"metric": "latency_ms"}],
        "strategy": {"name": strategy},
        "budget": {"trials": trials},
        "parallelism": 1,
        "seed": seed,
    }
    created = nas.create_search(body)
    done = nas.wait(created["id"], on_change=watch, poll_s=0.1)
    if done["state"] != "succeeded" or done["num_told"] != trials:
        raise RuntimeError(f"{done['state']} after {done['num_told']} trials: {done['error']}")
    return time.perf_counter() - began, done


def optuna_rate(url, trials, seed):
    """Trials per second of Optuna's RDB storage with its random sampler on the same problem."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(url)
    study = optuna.create_study(
        storage=storage, sampler=optuna.samplers.RandomSampler(seed=seed), directions=["maximize", "minimize"]
    )

    def objective(trial):
        return value_of([trial.suggest_categorical(f"c{i}", list(range(OPTIONS))) for i in range(CHOICES)])

    began = time.perf_counter()
    study.optimize(objective, n_trials=trials)
    return trials / (time.perf_counter() - began)


def memory_of(processes):
    """Resident MiB of the API and the dispatcher, and the sum and the largest of the dispatcher's workers."""

    def mib(process):
        return process.memory_info().rss / 2**20

    workers = [mib(child) for child in processes["dispatcher"].children(recursive=True)]
    return {
        "api": round(mib(processes["api"])),
        "dispatcher": round(mib(processes["dispatcher"])),
        "largest_worker": round(max(workers, default=0)),
    }


def timed(action, repeats):
    """Median and 95th percentile in ms."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        action()
        times.append(1000 * (time.perf_counter() - began))
    return {"median_ms": round(statistics.median(times), 1), "p95_ms": round(float(np.percentile(times, 95)), 1)}


def serving(nas, search_id, repeats):
    """How fast a large search is read: pages by number, deep inside and by another column; fronts now and then."""
    trials = f"/v1/searches/{search_id}/trials"
    token = nas.get(trials, page_size=1000)["next_page_token"]
    half = nas.search(search_id)["num_told"] // 2
    first = nas.front(search_id, at_evaluation=half)
    assert nas.front(search_id, at_evaluation=half) == first
    return {
        "page of 50 trials": timed(lambda: nas.get(trials), repeats),
        "page of 1000 trials after the 1000th": timed(
            lambda: nas.get(trials, page_size=1000, page_token=token), repeats
        ),
        "page of 50 newest trials": timed(lambda: nas.get(trials, sort="-number"), repeats),
        "front": timed(lambda: nas.front(search_id), repeats),
        "front after half of the evaluations": timed(lambda: nas.front(search_id, at_evaluation=half), repeats),
        "search": timed(lambda: nas.search(search_id), repeats),
    }


def measure(nas, processes, postgres_url, options):
    result = {"settings": {key: value for key, value in vars(options).items() if key != "out"}, "searches": {}}
    result["table_s"] = round(send_table(nas), 1)
    print("table sent in", result["table_s"], "s", flush=True)
    search(nas, "random", 1000, 0)  # so that every process has imported what it needs
    optuna_url = new_database(postgres_url, "optuna_bench")
    optuna_rates = []
    for seed in range(1, options.repeats + 1):
        optuna_rates.append(optuna_rate(optuna_url, options.optuna_trials, seed))
        print(f"optuna {optuna_rates[-1]:.1f}/s", flush=True)
        for strategy in options.strategies.split(","):
            seconds, _ = search(nas, strategy, options.trials, seed)
            result["searches"].setdefault(strategy, []).append(round(options.trials / seconds, 1))
            print(f"{strategy} {result['searches'][strategy][-1]}/s", flush=True)
    result["optuna"] = [round(rate, 1) for rate in optuna_rates]
    base = statistics.median(optuna_rates)
    result["ratio"] = {name: round(statistics.median(r) / base, 1) for name, r in result["searches"].items()}
    memory = []

    def watch(now):
        step = options.large // 5
        if now["num_told"] // step > len(memory) - 1:
            memory.append({"num_told": now["num_told"], **memory_of(processes)})

    seconds, large = search(nas, "random", options.large, 99, watch)
    result["large"] = {
        "trials": options.large,
        "per_s": round(options.large / seconds, 1),
        "front_size": large["front_size"],
        "memory_mib": memory,
        "serving": serving(nas, large["id"], options.reads),
    }
    return result


def markdown(result):
    lines = [
        "Durable trials per second, from the request to the committed end of the search; one run of "
        "`tests/benchmarks/bench_throughput.py` on " + result["machine"] + ".",
        "",
        "| what | trials/s (each repeat) | x Optuna (medians) |",
        "|---|---|---|",
        f"| Optuna {result['optuna_version']}, RDBStorage, RandomSampler | {result['optuna']} | 1 |",
    ]
    lines += [f"| service, `{n}` | {rates} | {result['ratio'][n]} |" for n, rates in result["searches"].items()]
    large = result["large"]
    lines += [
        "",
        f"One search of {large['trials']:,} trials ({large['per_s']} a second, {large['front_size']} on its front):",
        "",
        "| told | API MiB | dispatcher MiB | largest worker MiB |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {m['num_told']} | {m['api']} | {m['dispatcher']} | {m['largest_worker']} |" for m in large["memory_mib"]
    ]
    lines += ["", "| read | median ms | p95 ms |", "|---|---|---|"]
    lines += [f"| {name} | {t['median_ms']} | {t['p95_ms']} |" for name, t in large["serving"].items()]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20_000)
    parser.add_argument("--large", type=int, default=100_000)
    parser.add_argument("--optuna-trials", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--reads", type=int, default=40)
    parser.add_argument("--strategies", default="random,nsga2")
    parser.add_argument("--out", help="prefix of the .json and .md files to write")
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="nas-bench-"))
    home.chmod(0o711)
    postgres = EmbeddedPostgres(home)
    try:
        postgres_url = postgres.start()
        with service(postgres_url, home) as (nas, processes):
            result = measure(nas, processes, postgres_url, options)
    finally:
        postgres.stop("immediate")
        shutil.rmtree(home, ignore_errors=True)
    import optuna

    result["optuna_version"] = optuna.__version__
    result["machine"] = f"{psutil.cpu_count()} cores, load {psutil.getloadavg()[0]:.1f}"
    print(markdown(result))
    if options.out:
        Path(options.out + ".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        Path(options.out + ".md").write_text(markdown(result), encoding="utf-8")


if __name__ == "__main__":
    main()
