"""The cells of each scenario, for a short run and for a full one."""

import dataclasses

from harness import measure
from harness.measure import GIB, Cell
from harness.peers import ALL


@dataclasses.dataclass
class Scenario:
    name: str
    title: str
    cells: list


@dataclasses.dataclass
class Plan:
    """What the scenarios of a run are made from."""
    full: bool
    traffic: object           # Traffic of the run
    rounds: int
    soak_seconds: float = 0   # 0: no soak
    relabelling: bool = False  # this Tollgate has relabel_configs

    def changed(self, **what):
        return dataclasses.replace(self.traffic, **what)

    def paced(self):
        """For what is about being at a pace, even where the run's load has none."""
        return self.changed(rate=self.traffic.rate or 200_000)


def title_of(peer, destinations):
    return f"{ALL[peer].title}, {destinations} destination{'s' if destinations > 1 else ''}"


def by_destinations(plan, measured, chosen, **kwargs):
    """`chosen`: (peer, destinations, rounds) each."""
    return [Cell(f"{peer}-{n}", peer, n, plan.traffic, rounds=rounds, measure=measured,
                 title=title_of(peer, n), **kwargs) for peer, n, rounds in chosen]


def destinations(plan):
    if plan.full:
        chosen = [(peer, n, 0) for n in (1, 2, 3) for peer in ALL]
    else:
        # Those that a ratio is made of, round by round; the others once, to see where they stand.
        chosen = [("tollgate", 1, 0), ("vmagent", 1, 0), ("tollgate", 3, 0), ("vmagent", 3, 0),
                  ("nginx", 3, 0), ("tollgate", 2, 1), ("nginx", 1, 1), ("vmagent-default", 3, 1),
                  ("prometheus", 1, 1)]
    return Scenario("destinations", "1, 2, 3 destinations; two enforced labels; the same samples "
                    "at the same pace; Tollgate with sync: always, no other peer syncs",
                    by_destinations(plan, measure.steady, chosen))


def plain(plan):
    cells = [Cell(f"{peer}-1", peer, 1, plan.traffic, {"labels": {}}, title=title_of(peer, 1))
             for peer in ("tollgate", "vmagent", "nginx", "prometheus")]
    return Scenario("plain", "one destination; no labels enforced", cells)


def throughput(plan):
    if plan.full:
        chosen = [(peer, n, 0) for n in (1, 2, 3) for peer in ALL]
    else:
        chosen = [(peer, n, 3) for n in (1, 3) for peer in ("tollgate", "vmagent", "nginx")]
    return Scenario("throughput", "as fast as each is answered; bounded by the load and the sinks, "
                    "which share the machine", by_destinations(plan, measure.throughput, chosen))


def latency(plan):
    shares = (0.1, 0.25, 0.5, 0.75, 0.9) if plan.full else (0.25, 0.5, 0.75)
    cells = []
    for share in shares:
        half = share == 0.5
        cells.append(Cell(f"tollgate-{share:g}", "tollgate", 1, plan.traffic,
                          rounds=0 if half or plan.full else 1, measure=measure.latency,
                          options={"share": share,
                                   "probe_seconds": (2 if plan.full else 1) if half else 0},
                          title=f"Tollgate at {share:.0%} of its maximum"))
        if plan.full:
            cells.append(Cell(f"vmagent-{share:g}", "vmagent", 1, plan.traffic,
                              measure=measure.latency, options={"share": share},
                              title=f"vmagent at {share:.0%} of its maximum"))
    return Scenario("latency", "acknowledgement latency by load, one destination, sync: always, "
                    "against the disk's own fdatasync", cells)


def sync(plan):
    cells = [Cell(f"tollgate-{mode}", "tollgate", 1, plan.traffic, {"sync": mode},
                  rounds=0 if plan.full else 2, title=f"Tollgate, sync: {mode}")
             for mode in ("always", "100ms", "never")]
    return Scenario("sync", "one destination; when the journal is synced", cells)


def relabel(plan):
    cells = [Cell(f"{peer}-50", peer, 1, plan.traffic, {"relabel_rules": 50},
                  rounds=0 if plan.full else 2, title=f"{ALL[peer].title}, 50 rules")
             for peer in ("tollgate", "vmagent", "prometheus")
             if plan.relabelling or peer != "tollgate"]
    return Scenario("relabel", "one destination; 50 relabel rules that change nothing, two labels",
                    cells if plan.full or plan.relabelling else [])


def slow(plan):
    # Two destinations in both cells, so that the only difference is the slow one.
    cells = [Cell("tollgate-both-fast", "tollgate", 2, plan.paced(), rounds=0 if plan.full else 1,
                  measure=measure.slow_destination, options={"latency_ms": 0},
                  title="both fast"),
             Cell("tollgate-one-slow", "tollgate", 2, plan.paced(), rounds=0 if plan.full else 1,
                  measure=measure.slow_destination, options={"latency_ms": 250},
                  title="one answers after 250 ms")]
    return Scenario("slow", "two destinations, one of them slow: what the fast one and the senders "
                    "notice", cells)


def outage(plan):
    options = {"lead_seconds": 10, "outage_seconds": 300} if plan.full else {
        "lead_seconds": 3, "outage_seconds": 15}
    peers = ("tollgate", "vmagent") if plan.full else ("tollgate",)
    cells = [Cell(f"{peer}-1", peer, 1, plan.paced(), rounds=1, measure=measure.outage,
                  options=options, title=ALL[peer].title) for peer in peers]
    return Scenario("outage", f"the destination is away for {options['outage_seconds']} s under "
                    "live load, and the drain after it", cells)


def reconnect(plan):
    cells = [Cell(f"{peer}-1", peer, 1, plan.changed(senders=64, reconnect_every="50ms"),
                  rounds=0 if plan.full else 1, title=ALL[peer].title)
             for peer in (("tollgate", "vmagent", "nginx") if plan.full else ("tollgate",))]
    return Scenario("reconnect", "64 senders that connect anew every 50 ms", cells)


def tls(plan):
    chosen = ("tollgate", "vmagent", "nginx") if plan.full else ("tollgate", "vmagent")
    cells = [Cell(f"{peer}-1", peer, 1, plan.traffic, tls=True, rounds=0 if plan.full else 1,
                  title=ALL[peer].title) for peer in chosen]
    return Scenario("tls", "TLS in and out, one destination", cells)


def tenants(plan):
    # A request belongs to one tenant, so there have to be at least as many requests as tenants; the
    # load is the same for all three.
    header = "X-Scope-OrgID"
    traffic = plan.changed(series=200_000, samples_per_request=200, tenant_header=header)

    def cell(count, rounds):
        return Cell(f"tollgate-{count}", "tollgate", 1,
                    dataclasses.replace(traffic, tenants=count), {"tenant_header": header},
                    rounds=rounds, title=f"{count:,} tenant{'s' if count > 1 else ''}")
    return Scenario("tenants", "the same load from 1, 6 and 1,000 tenants, who never share an "
                    "outgoing request", [cell(1, 0), cell(1000, 0), cell(6, 0 if plan.full else 1)])


def kill9(plan):
    size = 4 * GIB if plan.full else GIB // 8
    cell = Cell("tollgate-1", "tollgate", 1, plan.changed(samples_per_request=2000),
                {"journal_size": "16GB"}, rounds=1, measure=measure.kill,
                options={"pending_bytes": size, "fill_seconds": 20 if plan.full else 4},
                title=f"at least {size / GIB:g} GiB pending")
    return Scenario("kill-9", "kill -9 with a full journal: ready again, then everything delivered",
                    [cell])


def soak(plan):
    if not plan.soak_seconds:
        return Scenario("soak", "", [])
    cell = Cell("tollgate-3", "tollgate", 3, plan.changed(seconds=plan.soak_seconds), rounds=1,
                title=f"Tollgate, 3 destinations, {plan.soak_seconds / 60:g} min")
    return Scenario("soak", "a long run: memory over time", [cell])


BUILDERS = {"destinations": destinations, "throughput": throughput, "latency": latency,
            "sync": sync, "tenants": tenants, "slow": slow, "outage": outage,
            "reconnect": reconnect, "tls": tls, "kill-9": kill9, "plain": plain, "relabel": relabel,
            "soak": soak}
ONLY_FULL = {"plain", "soak"}


def build(plan, names):
    """Scenarios with at least one cell, in the order of BUILDERS."""
    built = [BUILDERS[name](plan) for name in BUILDERS if name in names]
    return [scenario for scenario in built if scenario.cells]
