"""What the endpoint costs a month on Cloud Run, in USD: change what is in capitals, and run it.

Prices are list prices of a tier 1 region without free quotas, as known in November 2026; the table
is in docs/deployment/real-time.md.
"""

from __future__ import annotations

from math import ceil, exp

RATES = (0.1, 1, 10, 100)  # requests a second, over the whole month

# Measured: docs/serving.md, "Figures". A CPU with AVX512-VNNI takes about half.
CPU_SECONDS = 0.016  # of a request
# Assumed: measure them where you run.
WRITE_SECONDS = 0.05  # until the bucket has an object
NEW = 1.0  # share of photos that weren't sent before
PHOTO_BYTES = 200_000
LOG_BYTES = 1_500  # our line, and Cloud Run's own
KEPT_DAYS = 90
USED = 0.6  # share of the CPUs at which another instance starts

# docs/deploy/service.yaml
CPUS, GIB, MIN_INSTANCES = 2, 1, 1

# https://cloud.google.com/run/pricing, /storage/pricing, /stackdriver/pricing, /bigquery/pricing
CPU_SECOND, GIB_SECOND, MILLION_REQUESTS = 24e-6, 2.5e-6, 0.40
IDLE_CPU_SECOND, IDLE_GIB_SECOND = 2.5e-6, 2.5e-6  # of a minimum instance
WRITE, GB_MONTH = 0.005 / 1000, 0.020
LOG_GB = 0.50

MONTH = 365 / 12 * 86400


def month(rate: float) -> dict[str, float]:
    """USD by item at ``rate`` requests a second."""
    instances = max(MIN_INSTANCES, ceil(rate * CPU_SECONDS / (CPUS * USED)))
    # Billed is the time in which an instance has at least one request: the photo is written, then
    # the row, and time counts in tenths of a second.
    lasts = ceil((CPU_SECONDS + 2 * WRITE_SECONDS) * 10) / 10
    busy = instances * MONTH * (1 - exp(-rate / instances * lasts))
    idle = max(0.0, MIN_INSTANCES * MONTH - busy)
    requests = rate * MONTH
    # Rows share a write while another one is under way: so many writes an instance at most.
    groups = min(requests, instances * MONTH / WRITE_SECONDS)
    return {
        "instances at work": busy * (CPUS * CPU_SECOND + GIB * GIB_SECOND),
        "instances kept warm": idle * (CPUS * IDLE_CPU_SECOND + GIB * IDLE_GIB_SECOND),
        "requests": requests / 1e6 * MILLION_REQUESTS,
        "photos, written": requests * NEW * WRITE,
        "photos, stored": rate * NEW * 86400 * KEPT_DAYS * PHOTO_BYTES / 1e9 * GB_MONTH,
        "rows, written": groups * WRITE,
        "logs": requests * LOG_BYTES / 1e9 * LOG_GB,
    }


def main() -> None:
    """Print the table."""
    costs = [month(rate) for rate in RATES]
    print("| USD a month, at requests a second |", " | ".join(map(str, RATES)), "|")
    print("|---|" + "---|" * len(RATES))
    for item in costs[0]:
        print(f"| {item} |", " | ".join(f"{cost[item]:,.2f}" for cost in costs), "|")
    sums = " | ".join(f"**{sum(cost.values()):,.2f}**" for cost in costs)
    print("| **together** |", sums, "|")


if __name__ == "__main__":
    main()
