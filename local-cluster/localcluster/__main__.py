"""The command line: `python3 -m localcluster up`."""

import argparse
import json
import os
import shlex
import sys

from localcluster import state
from localcluster.builds import cache, packages, programs, venv, web
from localcluster.clusters.choice import Cluster, choose
from localcluster.clusters.given import GivenCluster
from localcluster.failure import Failure
from localcluster.images import recipes, registry
from localcluster.installation import chart, demo, models
from localcluster.node import network
from localcluster.progress import note


def main() -> int:
    """Run one command; a Failure is printed without a traceback."""
    arguments = _parser().parse_args()
    network.bypass_proxies()
    try:
        _COMMANDS[arguments.command](arguments)
    except Failure as failure:
        print(f"\n{failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="localcluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="a cluster with Mayfly installed")
    up.add_argument("--cluster-only", action="store_true", help="only the cluster")
    images = commands.add_parser("images", help="build the images, print their references")
    images.add_argument("--registry", help="push them there, and print helm's arguments")
    commands.add_parser("demo", help="`up`, then one run of the image example")
    examples = commands.add_parser("models", help="the example models, in a namespace")
    examples.add_argument("--namespace", default=chart.DEMO_NAMESPACE)
    commands.add_parser("env", help="print a line for `eval`")
    commands.add_parser("status", help="what runs")
    commands.add_parser("down", help="take it all away")
    commands.add_parser("venv", help="make the developers' environment, print its folder")
    commands.add_parser("web", help="build the web UI, print its folder")
    commands.add_parser("modules", help="install the web UI's packages, print their folder")
    commands.add_parser("packages", help="install the servers and the browser that tests start")
    commands.add_parser("binaries", help="build kubernetes and helm, print their paths")
    return parser


def _up(arguments: argparse.Namespace) -> None:
    cluster = choose(state.current())
    if not arguments.cluster_only:
        cluster.prepare(recipes.INSTALLED)
    cluster.up()
    if arguments.cluster_only:
        here = cluster.state
        note(f"{cluster.title} runs: export KUBECONFIG={here.kubeconfig} PATH={here.bin}:$PATH")
        return
    _install(cluster)


def _install(cluster: Cluster) -> None:
    references = chart.build_images(cluster)
    chart.install(cluster, references)
    access = chart.access(cluster)
    note(f"Mayfly runs on {cluster.title}, at {access.url}")
    note('next: eval "$(make -s env)", then `kubectl get mayfly -A`; `make down` removes it')


def _images(arguments: argparse.Namespace) -> None:
    if arguments.registry is not None:
        if not arguments.registry.strip():
            raise Failure(
                "REGISTRY is not set: name one that your cluster can pull from, for example\n"
                "  make images REGISTRY=registry.example.com/mayfly"
            )
        pushed = {
            each.name: registry.push(each, arguments.registry, again=True)
            for each in recipes.INSTALLED
        }
        print(" \\\n".join(f"  --set {value}" for value in chart.image_values(pushed)))
        return
    cluster = choose(state.current())
    cluster.prepare(recipes.INSTALLED)
    cluster.up()
    print(json.dumps(chart.build_images(cluster)))


def _demo(_: argparse.Namespace) -> None:
    cluster = choose(state.current())
    cluster.prepare(recipes.INSTALLED)
    cluster.up()
    _install(cluster)
    demo.run(cluster)


def _models(arguments: argparse.Namespace) -> None:
    cluster = choose(state.current())
    if not cluster.running():
        raise Failure(f"{cluster.title} does not run: `make up` starts it")
    namespace = arguments.namespace
    names = models.install(cluster, namespace)
    note(f"ready in {namespace}: {', '.join(names)}")
    note(f"next: kubectl create -n {namespace} -f examples/calls/run.yaml")


def _env(_: argparse.Namespace) -> None:
    cluster = choose(state.current())
    if not cluster.running():
        raise Failure(f"{cluster.title} does not run: `make up` starts it")
    access = chart.access(cluster)
    variables = {
        "MAYFLY_URL": access.url,
        "MAYFLY_TOKEN": access.token,
        "SSL_CERT_FILE": str(access.trusted_roots),
    }
    if not isinstance(cluster, GivenCluster):
        variables = {"KUBECONFIG": str(cluster.state.kubeconfig), **variables}
    if "NO_PROXY" in os.environ:
        variables["NO_PROXY"] = os.environ["NO_PROXY"]
    words = [f"{name}={shlex.quote(value)}" for name, value in variables.items()]
    print("export", *words, f'PATH={shlex.quote(str(cluster.state.bin))}:"$PATH"')


def _status(_: argparse.Namespace) -> None:
    cluster = choose(state.current())
    word = "runs" if cluster.running() else "does not run"
    print(f"{cluster.title} {word} ({cluster.state.folder})")
    for line in cluster.status():
        print(f"  {line}")
    if cluster.running():
        print(cluster.kubectl.attempt("get", "nodes,pods", "-A").stdout)


def _down(_: argparse.Namespace) -> None:
    cluster = choose(state.current())
    if isinstance(cluster, GivenCluster) and cluster.running():
        chart.uninstall(cluster)  # the others go with all that is in them
    cluster.down()


def _venv(_: argparse.Namespace) -> None:
    print(venv.prepare())


def _web(_: argparse.Namespace) -> None:
    print(web.dist())


def _modules(_: argparse.Namespace) -> None:
    print(web.modules())


def _packages(_: argparse.Namespace) -> None:
    packages.require(packages.TESTS, cache.folder() / "logs")


def _binaries(_: argparse.Namespace) -> None:
    paths = {"kubernetes": programs.kubernetes() / "kubernetes", "helm": programs.helm()}
    print(json.dumps({name: str(path) for name, path in paths.items()}))


_COMMANDS = {
    "up": _up,
    "images": _images,
    "demo": _demo,
    "models": _models,
    "env": _env,
    "status": _status,
    "down": _down,
    "venv": _venv,
    "web": _web,
    "modules": _modules,
    "packages": _packages,
    "binaries": _binaries,
}

if __name__ == "__main__":
    sys.exit(main())
