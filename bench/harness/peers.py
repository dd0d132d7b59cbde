"""Tollgate and the programs it is compared with.

Each peer gets the same load, sinks and labels, state on the same file system, and the defaults of
its authors except for what is written here, with the reason. What was really run is in the results:
version, command line and configuration.
"""

import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import time

from harness.processes import CannotMeasure, free_port, get

# What every series leaves with, unless a scenario says otherwise: the two enforced labels.
LABELS = {"cluster": "blue", "region": "eu-west-2"}
WRITE = "/api/v1/write"


@dataclasses.dataclass
class Setup:
    """What a peer is to do in a cell."""
    sink_ports: list
    labels: dict = dataclasses.field(default_factory=lambda: dict(LABELS))
    sync: str = "always"
    tenant_header: str = ""
    relabel_rules: int = 0
    certificates: object = None  # traffic.Certificates: TLS in and out
    journal_size: str = "16GB"

    def sink_urls(self):
        scheme = "https" if self.certificates else "http"
        return [f"{scheme}://127.0.0.1:{port}{WRITE}" for port in self.sink_ports]


class Peer:
    """A program between the load and the sinks. One object is one process (with its children)."""
    name = ""
    title = ""
    allow_unsorted = False    # its labels leave unsorted
    allow_reordering = False  # it does not keep the order of a series
    rest_seconds = 0          # between its start and the load

    def __init__(self, tools, family, folder, setup):
        self.tools, self.family, self.setup = tools, family, setup
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.configuration = ""
        self.child = None
        self.port = free_port()
        scheme = "https" if setup.certificates else "http"
        self.base = f"{scheme}://127.0.0.1:{self.port}"
        self.urls = [self.base + WRITE]
        self.prepare()

    def prepare(self):
        """Writes configuration files."""

    def argv(self):
        raise NotImplementedError

    def ready_url(self):
        raise NotImplementedError

    def start(self):
        """Returns the seconds until it was ready."""
        self.child = self.family.start(self.name, self.argv())
        took = self.child.wait_ready(self.ready_url())
        time.sleep(self.rest_seconds)
        return took

    def pending_samples(self):
        """None where the peer does not say."""
        return None

    def end(self):
        if self.child:
            self.family.end(self.child)
            self.child = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        self.configuration += text
        return path

    def described(self):
        """Command line and configuration without this run's folders."""
        def clean(text):
            return text.replace(str(self.folder), "$STATE").replace(str(self.family.folder), "$RUN")
        argv = [os.path.basename(self.argv()[0]), *self.argv()[1:]]
        return {"command": clean(" ".join(str(a) for a in argv)),
                "configuration": clean(self.configuration)}


def version_of(argv, pattern):
    if shutil.which(str(argv[0])) is None:
        raise CannotMeasure(f"{os.path.basename(str(argv[0]))} is not installed")
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False,
                          timeout=20)
    found = re.search(pattern, done.stdout + done.stderr)
    return found.group(1) if found else packaged_version(argv[0])


def packaged_version(program):
    """Debian's, of a program that does not say (its vmagent does not)."""
    try:
        path = os.path.realpath(shutil.which(str(program)))
        owner = subprocess.run(["dpkg-query", "-S", path], capture_output=True, text=True,
                               check=True).stdout.split(":")[0]
        version = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", owner],
                                 capture_output=True, text=True, check=True).stdout
        return f"{version} ({owner})"
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


# --- Tollgate -------------------------------------------------------------------------------------


def metric(text, name):
    """Sum over labels of one metric in the exposition format."""
    return sum(float(m) for m in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))


class Tollgate(Peer):
    name, title = "tollgate", "Tollgate"

    @staticmethod
    def version(tools):
        return version_of([tools.tollgate, "version"], r"(\d+\.\d+\.\S+)")

    def prepare(self):
        self.admin_port = free_port()
        self.admin = f"http://127.0.0.1:{self.admin_port}"
        setup = self.setup
        tls_in = tls_out = ""
        if setup.certificates:
            tls_in = (f", tls: {{cert_file: '{setup.certificates.certificate}', "
                      f"key_file: '{setup.certificates.key}'}}")
            tls_out = f"    tls_config: {{ca_file: '{setup.certificates.authority}'}}\n"
        tenant = "{header: %s}" % setup.tenant_header if setup.tenant_header else "team-blue"
        text = (f"ingest: {{listen: '127.0.0.1:{self.port}'{tls_in}}}\n"
                f"admin: {{listen: '127.0.0.1:{self.admin_port}'}}\n"
                f"journal: {{path: '{self.folder}/journal', sync: {setup.sync}, retention: 1s, "
                f"max_size: {setup.journal_size}}}\n"
                f"sources:\n  - name: blue\n    auth: none\n    tenant: {tenant}\n")
        if setup.labels:
            text += "    enforced_labels: {%s}\n" % ", ".join(
                f"{name}: {value}" for name, value in setup.labels.items())
        if setup.relabel_rules:
            text += "    relabel_configs:\n" + relabel_rules(setup.relabel_rules, "      ")
        text += "remote_write:\n"
        for i, url in enumerate(setup.sink_urls()):
            text += f"  - name: sink{i}\n    url: {url}\n" + tls_out
            if setup.tenant_header:
                text += f"    tenant_header: {setup.tenant_header}\n"
        self.config = self.write("tollgate.yml", text)

    def argv(self):
        return [self.tools.tollgate, "serve", f"--config.file={self.config}"]

    def ready_url(self):
        return self.admin + "/-/ready"

    def metrics(self):
        return get(self.admin + "/metrics")

    def pending_samples(self):
        return metric(self.metrics(), "tollgate_pending_samples")

    def accepted_samples(self):
        return metric(self.metrics(), "tollgate_accepted_samples_total")

    def pending_bytes(self):
        return metric(self.metrics(), "tollgate_pending_bytes")

    def commits(self):
        """Bytes and number of the journal's commits so far."""
        text = self.metrics()
        return (metric(text, "tollgate_journal_appended_bytes_total"),
                metric(text, "tollgate_journal_fsync_duration_seconds_count"))

    def accepts_configuration(self):
        done = subprocess.run([str(self.tools.tollgate), "check", "config",
                               f"--config.file={self.config}"], capture_output=True, check=False)
        return done.returncode == 0


def relabel_rules(count, indent):
    """`count` rules of the kinds that people write; none of them changes a series of the load."""
    kinds = [
        "{{source_labels: [__name__], regex: 'never_{i}_.*', action: drop}}",
        "{{source_labels: [job, instance], separator: ';', regex: 'never{i};.*', "
        "target_label: never, replacement: seen}}",
        "{{regex: 'never_{i}_.*', action: labeldrop}}",
        "{{source_labels: [namespace], regex: 'never-{i}', target_label: team, "
        "replacement: 'team-{i}'}}",
        "{{source_labels: [__name__, le], regex: 'never_{i}_bucket;.*', action: drop}}",
    ]
    return "".join(f"{indent}- {kinds[i % len(kinds)].format(i=i)}\n" for i in range(count))


# --- peers ----------------------------------------------------------------------------------------


class Vmagent(Peer):
    """One queue a destination: the only setting under which it keeps the order of a series."""
    name, title, allow_unsorted = "vmagent", "vmagent", True
    queues = ["-remoteWrite.queues=1"]

    @staticmethod
    def version(tools):
        return version_of([tools.vmagent, "-version"], r"(vmagent-\S+|\bv?\d+\.\d+\.\d+\S*)")

    def prepare(self):
        self.rules = []
        if self.setup.relabel_rules:
            path = self.write("relabel.yml", relabel_rules(self.setup.relabel_rules, ""))
            self.rules = [f"-remoteWrite.relabelConfig={path}"]

    def argv(self):
        setup = self.setup
        argv = [self.tools.vmagent, f"-httpListenAddr=127.0.0.1:{self.port}",
                f"-remoteWrite.tmpDataPath={self.folder}/queue", *self.queues, *self.rules]
        # Newer ones speak a protocol of their own among themselves, which is not what is compared.
        if self.tools.vmagent_knows("remoteWrite.forcePromProto"):
            argv += ["-remoteWrite.forcePromProto"] * len(setup.sink_ports)
        for url in setup.sink_urls():
            argv.append(f"-remoteWrite.url={url}")
            if setup.certificates:
                argv.append(f"-remoteWrite.tlsCAFile={setup.certificates.authority}")
        if setup.certificates:
            argv += ["-tls", f"-tlsCertFile={setup.certificates.certificate}",
                     f"-tlsKeyFile={setup.certificates.key}"]
        argv += [f"-remoteWrite.label={name}={value}" for name, value in setup.labels.items()]
        return argv

    def ready_url(self):
        return self.base + "/health"


class VmagentDefault(Vmagent):
    """As its authors ship it: 2 queues a core, which do not keep order."""
    name, title, allow_reordering = "vmagent-default", "vmagent, default queues", True
    queues = []


class Nginx(Peer):
    """Does nothing to a body but pass it on: the bound below which nobody gets.

    A server for each destination; the load posts each body to one after another. It adds no labels.
    """
    name, title = "nginx", "nginx (proxy only)"

    @staticmethod
    def version(tools):
        return version_of([tools.nginx, "-v"], r"nginx/(\S+)")

    def prepare(self):
        setup = self.setup
        self.setup.labels = {}
        ports = [self.port] + [free_port() for _ in setup.sink_ports[1:]]
        scheme = "https" if setup.certificates else "http"
        self.urls = [f"{scheme}://127.0.0.1:{port}{WRITE}" for port in ports]
        user = "user root;\n" if os.geteuid() == 0 else ""  # its workers write to our folder
        tls_in, tls_out, ssl = "", "", ""
        if setup.certificates:
            ssl = " ssl"
            tls_in = (f"    ssl_certificate {setup.certificates.certificate};\n"
                      f"    ssl_certificate_key {setup.certificates.key};\n")
            tls_out = (f"      proxy_ssl_trusted_certificate {setup.certificates.authority};\n"
                       "      proxy_ssl_verify on;\n      proxy_ssl_name 127.0.0.1;\n")
        servers = "".join(
            f"  upstream sink{i} {{\n    server 127.0.0.1:{sink};\n    keepalive 64;\n"
            f"    keepalive_requests 1000000;\n  }}\n"
            f"  server {{\n    listen 127.0.0.1:{port}{ssl};\n{tls_in}"
            f"    location / {{\n      proxy_pass {scheme}://sink{i};\n{tls_out}"
            f"      proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n    }}\n"
            f"    location = /ready {{\n      return 204;\n    }}\n  }}\n"
            for i, (port, sink) in enumerate(zip(ports, setup.sink_ports)))
        temporary = "".join(f"  {kind}_temp_path {self.folder}/{kind};\n" for kind in
                            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
        self.config = self.write("nginx.conf", (
            f"{user}daemon off;\nworker_processes auto;\npid {self.folder}/nginx.pid;\n"
            "error_log stderr warn;\nevents {\n  worker_connections 4096;\n}\n"
            "http {\n  access_log off;\n  client_max_body_size 32m;\n"
            "  client_body_buffer_size 1m;\n  keepalive_requests 1000000;\n"
            f"{temporary}{servers}}}\n"))

    def argv(self):
        return [self.tools.nginx, "-p", f"{self.folder}/", "-c", self.config, "-e", "stderr"]

    def ready_url(self):
        return self.base + "/ready"


class Prometheus(Peer):
    """Receives remote write, stores, and relays by its own remote write."""
    name, title = "prometheus", "Prometheus, relaying"
    # It relays only samples that are younger than itself, and the series of the load begin up to a
    # scrape interval (15 s) in the past.
    rest_seconds = 16

    @staticmethod
    def version(tools):
        return version_of([tools.prometheus, "--version"], r"version (\S+)")

    def prepare(self):
        setup = self.setup
        rules = "".join(f"      - {{target_label: {name}, replacement: {value}}}\n"
                        for name, value in setup.labels.items())
        if setup.relabel_rules:
            rules = relabel_rules(setup.relabel_rules, "      ") + rules
        tls = ""
        if setup.certificates:
            tls = f"    tls_config: {{ca_file: '{setup.certificates.authority}'}}\n"
            self.web = self.write("web.yml", (
                f"tls_server_config: {{cert_file: '{setup.certificates.certificate}', "
                f"key_file: '{setup.certificates.key}'}}\n"))
        text = "global: {scrape_interval: 1h}\nremote_write:\n"
        for i, url in enumerate(setup.sink_urls()):
            text += f"  - name: sink{i}\n    url: {url}\n{tls}"
            if rules:
                text += f"    write_relabel_configs:\n{rules}"
        self.config = self.write("prometheus.yml", text)

    def argv(self):
        argv = [self.tools.prometheus, f"--config.file={self.config}",
                f"--storage.tsdb.path={self.folder}/tsdb", "--web.enable-remote-write-receiver",
                f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"]
        if self.setup.certificates:
            argv.append(f"--web.config.file={self.web}")
        return argv

    def ready_url(self):
        return self.base + "/-/ready"


ALL = {peer.name: peer for peer in [Tollgate, Vmagent, VmagentDefault, Nginx, Prometheus]}


@dataclasses.dataclass
class Tools:
    """Where the programs are."""
    folder: pathlib.Path
    vmagent: str = "vmagent"
    nginx: str = "nginx"
    prometheus: str = "prometheus"
    vmagent_help: str = ""

    def __post_init__(self):
        self.tollgate = self.folder / "tollgate"
        self.bench = self.folder / "tollgate-bench"
        debian = "/usr/sbin/nginx"  # not in the PATH of people
        if self.nginx == "nginx" and shutil.which("nginx") is None and os.path.exists(debian):
            self.nginx = debian

    def vmagent_knows(self, flag):
        if not self.vmagent_help:
            done = subprocess.run([self.vmagent, "-help"], capture_output=True, text=True,
                                  check=False, timeout=20)
            self.vmagent_help = done.stdout + done.stderr
        return f"  -{flag}" in self.vmagent_help
