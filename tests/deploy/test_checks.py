"""Each check of deploy/ finds what it is there for: a copy of the project with one thing broken.

Run by `make check-deploy`, which installs the tools that the checks lean on.
"""

import shutil
from pathlib import Path

import pytest

from deploy.checks import __main__ as program
from deploy.checks import check as checking
from deploy.checks.check import ROOT, Check, MissingTool

NAMES = ("gateway", "collectors", "streams", "shared", "loadtest", "deploy", "requirements", ".github")
FILES = (".dockerignore", "pyproject.toml", "README.md", "LICENSE")

NGINX, UPSTREAM, ROUTES, TLS = (f"deploy/nginx/{name}.conf" for name in ("nginx", "upstream", "routes", "tls"))
COMPOSE, DOCKERFILE, CI = "deploy/compose.yaml", "deploy/Dockerfile", ".github/workflows/ci.yml"

BROKEN = [
    ("compose", COMPOSE, "read_only: true", "read_onyl: true", "read_onyl"),
    ("compose", "deploy/compose.open.yaml", "services:", "servicse:", "servicse"),
    ("compose-promises", COMPOSE, "  read_only: true\n", "", "gateway: may write to its root file system"),
    ("compose-promises", COMPOSE, "cap_drop: [ALL]", "cap_drop: [NET_RAW]", "nats: keeps capabilities"),
    ("compose-promises", COMPOSE, "no-new-privileges:true", "seccomp:unconfined", "nats: keeps capabilities"),
    ("compose-promises", COMPOSE, "memory: 2g", "memory: 3g", "gateway-more: has other resources"),
    ("compose-promises", COMPOSE, 'user: "999:999"', 'ports: ["5432:5432"]', "postgres: publishes a port"),
    ("compose-promises", COMPOSE, "back: {internal: true}", "back: {}", "nats: the network back leads outside"),
    ("compose-promises", COMPOSE, "--source, tiktok", "--source, facebook", "no collector for tiktok"),
    ("compose-promises", COMPOSE, "profiles: [load]", "profiles: [laod]", "bulk-test: is in the profiles"),
    ("compose-promises", COMPOSE, "    NATS_JETSTREAM_PREFIX: JS.API\n", "", "gateway: has NATS_JETSTREAM_PREFIX None"),
    (
        "compose-promises",
        COMPOSE,
        "  NATS_JETSTREAM_PREFIX: JS.API\n  DATA",
        "  DATA",
        "tiktok: has NATS_JETSTREAM_PREFIX",
    ),
    ("compose-promises", COMPOSE, "services:", "services: [", "deploy/compose.yaml: while parsing"),
    ("compose-files", COMPOSE, "compose/passwords.sh", "compose/gone.sh", "mounts deploy/compose/gone.sh"),
    ("compose-files", COMPOSE, "./nginx:/etc", "./ngnix:/etc", "mounts deploy/ngnix"),
    ("compose-files", COMPOSE, "  senders: {file", "  sender: {file", "the secret senders is used and not defined"),
    ("dockerfile", DOCKERFILE, "WORKDIR /src", "RUN cd /src", "DL3003"),
    ("dockerfile", DOCKERFILE, "COPY gateway gateway", "COPPY gateway gateway", "unexpected"),
    ("image-promises", DOCKERFILE, "USER 10001:10001", "USER floodgate", "USER floodgate: takes 10001:10001"),
    ("image-promises", DOCKERFILE, "        --require-hashes", "        ", "without --require-hashes"),
    ("image-promises", DOCKERFILE, '"python", "-m", "shared.probe"', '"curl", "-f"', "no curl in the image"),
    ("image-promises", DOCKERFILE, 'CMD ["gateway"]', "CMD gateway", "takes the exec form"),
    ("image-promises", DOCKERFILE, "STOPSIGNAL SIGTERM\n", "", "the last stage has no STOPSIGNAL"),
    ("image-promises", DOCKERFILE, "EXPOSE", "RUN apt-get install gcc\nEXPOSE", "only takes over"),
    ("image-promises", DOCKERFILE, "WORKDIR /\n", "COPY . /\n", "takes files from elsewhere"),
    ("image-promises", DOCKERFILE, "PYTHONSAFEPATH=1", "PYTHONSAFEPATH=0", "ENV PYTHONSAFEPATH=0: takes 1"),
    ("image-promises", DOCKERFILE, "image.revision", "image.rev", "image.revision is missing"),
    ("image-steps", DOCKERFILE, "COPY requirements/image.txt", "COPY requirements/dev.txt", "keeps requirements/dev"),
    ("image-steps", ".dockerignore", "!gateway\n", "", ".dockerignore keeps gateway out"),
    ("image-steps", "requirements/build.txt", "sha256:", "sha256:0", "RUN python -m venv"),
    ("image-steps", "loadtest/__main__.py", "import uvloop", "import psutil", "python -m loadtest --help: status 1"),
    (
        "image-steps",
        "shared/tracing_otlp.py",
        "from opentelemetry",
        "from opentelemetrie",
        "shared.tracing_otlp: status 1",
    ),
    ("nginx", NGINX, "server_tokens off", "server_token off", 'unknown directive "server_token"'),
    ("nginx", ROUTES, "http://gateways;", "http://gateway;", 'host not found in upstream "gateway"'),
    ("nginx", UPSTREAM, " resolve ", " ", "takes a resolver"),
    ("nginx", NGINX, "listen 8081 ", "listen 8082 ", "'listen 8081' is not there"),
    ("nginx-tls", TLS, "TLSv1.2 TLSv1.3", "TLSv9", 'invalid value "TLSv9"'),
    ("prometheus", "deploy/compose/prometheus.yml", "job_name: nats", "job_name: postgres", "multiple scrape configs"),
    ("prometheus", "deploy/compose/prometheus.yml", "scrape_timeout", "scrape_timeuot", "scrape_timeuot"),
    ("workflows", CI, "runs-on: ubuntu-24.04", "runs_on: ubuntu-24.04", "runs_on"),
    ("workflows", CI, "    timeout-minutes: 60\n", "", "timeout-minutes"),
    ("workflows", CI, "@11bd71901bbe5b1630ceea73d27597364c9af683", "@v4", "actions/checkout@v4 can change under us"),
]

NATS = """
jetstream { store_dir: "/data", sync_interval: always }
include "keys.conf"
authorization { users: [ { nkey: $GATEWAY_NKEY } ] }
"""
RULE = """
groups:
  - name: flow
    rules:
      - alert: Slow
        expr: collector_lag_seconds > 60
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the checks read."""
    root = tmp_path_factory.mktemp("project")
    for name in NAMES:
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, root / name)
    return root


def _check(name: str) -> Check:
    (found,) = (check for check in program.ALL if check.name == name)
    return found


@pytest.mark.parametrize("broken", BROKEN, ids=[f"{name}: {words}" for name, *_, words in BROKEN])
def test_a_broken_copy_is_found_out(project: Path, broken: tuple[str, str, str, str, str]) -> None:
    name, file, old, new, words = broken
    path = project / file
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{file} has no {old!r} to break"
    path.write_text(text.replace(old, new), encoding="utf-8")
    try:
        said = list(_check(name).find_wrong(project))
    finally:
        path.write_text(text, encoding="utf-8")
    assert any(words in line for line in said), said


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (NATS, None),
        (NATS.replace("sync_interval: always", "sync_intervall: always"), "sync_intervall"),
        (NATS.replace("$GATEWAY_NKEY", "UNKNOWN"), "Not a valid public nkey"),
        (None, "deploy/nats/nats.conf is missing"),
    ],
)
def test_the_nats_configuration_is_read_by_the_server(tmp_path: Path, config: str | None, words: str | None) -> None:
    (tmp_path / "deploy/nats").mkdir(parents=True)
    if config is not None:
        (tmp_path / "deploy/nats/nats.conf").write_text(config)
    said = list(_check("nats").find_wrong(tmp_path))
    assert said == [] if words is None else any(words in line for line in said), said


@pytest.mark.parametrize(
    ("rules", "words"),
    [(RULE, None), (RULE.replace("> 60", "> >"), "parse error"), (None, "holds no rules")],
)
def test_alert_rules_are_read_by_promtool(tmp_path: Path, rules: str | None, words: str | None) -> None:
    (tmp_path / "deploy/prometheus/rules").mkdir(parents=True)
    if rules is not None:
        (tmp_path / "deploy/prometheus/rules/flow.yml").write_text(rules)
    said = list(_check("alert-rules").find_wrong(tmp_path))
    assert said == [] if words is None else any(words in line for line in said), said


def test_every_check_has_an_input_that_breaks_it() -> None:
    mine = {check.name for check in program.ALL if check.find_wrong.__module__ in _MODULES}
    assert {name for name, *_ in BROKEN} | {"nats", "alert-rules"} == mine


_MODULES = {f"deploy.checks.{name}" for name in ("compose", "image", "nginx", "nats", "prometheus", "workflow")}


def test_a_failed_check_and_a_missing_tool_are_told_and_fail_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    def without_tool(_root: Path) -> list[str]:
        raise MissingTool("promtool is missing: apt-get install prometheus")

    good, bad = Check("good", "", lambda _: []), Check("bad", "", lambda _: ["line 3 is wrong"])
    assert program.run([good]) == 0
    assert program.run([good, bad]) == 1
    assert program.run([Check("tools", "", without_tool), good]) == 1
    out = capsys.readouterr().out
    assert "FAILED bad" in out
    assert "line 3 is wrong" in out
    assert "promtool is missing: apt-get install prometheus" in out


def test_a_tool_that_is_nowhere_is_named_with_its_installation() -> None:
    with pytest.raises(MissingTool, match=r"^no-such-tool is missing: apt-get install it$"):
        checking.tool("no-such-tool", "apt-get install it")
