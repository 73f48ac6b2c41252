"""What is deployed without being run here: schemas, linters, and that its parts name each other rightly."""

import configparser
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from viberary_pipeline.run import LOCATION
from viberary_pipeline.settings import reference
from viberary_pipeline.web.prometheus import Metrics

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
RULES: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "rules.yml").read_text())
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana" / "dashboards" / "viberary.json").read_text())


def tool(name: str) -> str:
    found = shutil.which(name, path=TOOLS) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False)


def test_compose_has_the_form_of_its_schema():
    done = run(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", "compose.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["Dockerfile.web", "Dockerfile.pipeline"])
def test_the_images_pass_hadolint(name):
    done = run(tool("hadolint"), name)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(("kind", "file"), [("config", "prometheus.yml"), ("rules", "rules.yml")])
def test_prometheus_takes_its_files(kind, file):
    done = run(tool("promtool"), "check", kind, file, cwd=ROOT / "deploy")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("service", COMPOSE["services"])
def test_each_service_is_pinned_watched_and_open_to_this_machine_alone(service):
    about = COMPOSE["services"][service]
    assert about["healthcheck"]["test"]
    assert "build" in about or re.search(r":v?\d+\.\d+\.\d+", about["image"])
    assert all(port.startswith("127.0.0.1:") for port in about.get("ports", ()))
    for mount in about.get("volumes", ()):
        source = mount.split(":")[0]
        assert source.startswith("${") or source in COMPOSE["volumes"] or (ROOT / source).exists()
    for known in about.get("depends_on", ()):
        assert known in COMPOSE["services"]


def test_compose_sets_what_is_a_setting():
    known = {setting.variable for _, settings in reference() for setting in settings}
    for service in COMPOSE["services"].values():
        given = {name for name in service.get("environment", {}) if name.startswith("VIBERARY_")}
        assert given <= known


def test_a_restart_of_webserver_or_daemon_ends_no_run():
    """Runs are children of the code location's server, which both only know by its address."""
    for workspace, where in (("workspace.compose.yaml", "code"), ("systemd/workspace.yaml", "127.0.0.1")):
        (location,) = yaml.safe_load((ROOT / "deploy" / workspace).read_text())["load_from"]
        assert location == {"grpc_server": {"host": where, "port": 4266, "location_name": LOCATION}}
    mount = "./deploy/workspace.compose.yaml:/src/workspace.yaml:ro"
    assert all(mount in COMPOSE["services"][service]["volumes"] for service in ("pipeline", "daemon", "code"))
    assert COMPOSE["services"]["code"]["command"][-2:] == ["--port", "4266"]


@pytest.mark.parametrize("unit", sorted((ROOT / "deploy" / "systemd").glob("*.service")), ids=lambda path: path.stem)
def test_the_units_are_whole_and_start_what_is_installed(unit: Path):
    parsed = configparser.ConfigParser(strict=False, interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment, method-assign]
    parsed.read(unit)
    assert parsed.sections() == ["Unit", "Service", "Install"]
    service = parsed["Service"]
    assert (service["Restart"], service["EnvironmentFile"]) == ("always", "/etc/viberary/viberary.env")
    command, *arguments = service["ExecStart"].split()
    assert tool(Path(command).name)
    if "--workspace" in arguments:
        assert (unit.parent / Path(arguments[arguments.index("--workspace") + 1]).name).is_file()
    for other in re.findall(r"viberary-\w+\.service", unit.read_text()):
        assert (unit.parent / other).is_file()


def test_the_environment_of_the_units_sets_what_is_a_setting():
    known = {setting.variable for _, settings in reference() for setting in settings}
    lines = (ROOT / "deploy" / "systemd" / "viberary.env").read_text().splitlines()
    given = {line.lstrip("#").partition("=")[0] for line in lines if re.match(r"#?[A-Z_]+=", line)}
    assert given - {"DAGSTER_HOME"} <= known


def test_nginx_and_prometheus_know_the_hosts_of_compose():
    hosts = {f"{name}:8000" for name in COMPOSE["services"] if name.startswith("web")}
    nginx = (ROOT / "deploy" / "nginx.conf").read_text()
    assert set(re.findall(r"server (\S+:\d+)", nginx)) == hosts
    scraped = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())["scrape_configs"][0]
    assert set(scraped["static_configs"][0]["targets"]) == hosts
    assert len(hosts) == 2


def test_somebody_asks_the_hosts_whether_they_are_ready():
    """Nothing else sets `viberary_ready`, and without it an alert would be raised for ever."""
    for name in ("web-1", "web-2"):
        asked = COMPOSE["services"][name]["healthcheck"]["test"]
        assert asked[:3] == ["CMD", "python", "-c"]
        script = asked[3].replace("127.0.0.1:8000", "127.0.0.1:1")
        assert "ConnectionRefusedError" in run(sys.executable, "-c", script).stderr
        paths = re.findall(r"127\.0\.0\.1:8000(/\w+)", asked[3])
        assert paths == ["/healthz", "/readyz"]


def queries() -> list[str]:
    rules = [rule["expr"] for group in RULES["groups"] for rule in group["rules"]]
    return rules + [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def test_dashboard_and_alerts_ask_for_metrics_that_there_are():
    metrics = Metrics()
    metrics.requests.labels("/search", "200").inc()
    metrics.request_seconds.labels("/search").observe(0.1)
    there = set(re.findall(r"^(viberary_\w+)", metrics.text().decode(), re.MULTILINE))
    recorded = {rule["record"] for group in RULES["groups"] for rule in group["rules"] if "record" in rule}
    asked = {name for query in queries() for name in re.findall(r"\bviberary[:_][\w:]+", query)}
    assert asked - recorded <= there
    assert {"viberary_ready", "viberary_cache_total", "viberary_refused_total"} <= asked
    assert recorded <= asked


def test_every_panel_and_alert_says_what_it_is():
    assert all(panel["title"] and panel["datasource"]["uid"] == "prometheus" for panel in DASHBOARD["panels"])
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    alerts = [rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule]
    assert all(rule["annotations"].keys() == {"summary", "description"} for rule in alerts)


def test_the_image_of_the_page_is_small():
    done = run(sys.executable, ROOT / "scripts" / "web_size.py")
    assert done.returncode == 0, done.stdout + done.stderr
    listed = {line.split()[-1] for line in done.stdout.splitlines()[:-2]}
    assert {"flask", "gunicorn", "onnxruntime", "duckdb", "viberary-pipeline"} <= listed
    assert not {"torch", "dagster", "great-expectations", "huggingface-hub"} & listed
    total = float(done.stdout.splitlines()[-1].split()[0])
    told = re.findall(r"The image of the page is about (\d+) MB", (ROOT / "docs" / "serving.md").read_text())
    assert abs(total - float(*told)) < 5
    assert total <= 350
