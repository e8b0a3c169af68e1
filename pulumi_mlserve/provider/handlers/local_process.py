"""``LocalProcess``: an image runs as a process of this machine, updated without losing a request."""

from __future__ import annotations

import functools
import math
import platform
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from pulumi_mlserve.clients.environments.interpreter import isolated_python
from pulumi_mlserve.clients.places import cache_folder, collected_folder
from pulumi_mlserve.clients.processes.local_process import ProcessSpec, ProcessStatus, Running
from pulumi_mlserve.clients.processes.process_spec import taken_name
from pulumi_mlserve.clients.processes.service_keys import Keys
from pulumi_mlserve.core.images.reference import has_registry
from pulumi_mlserve.core.local_process_declarations import LocalProcessInputs
from pulumi_mlserve.core.problems import OperationError, Problem
from pulumi_mlserve.core.service import check_local_service
from pulumi_mlserve.core.service_identity import is_service_id, plain_service_id, service_id
from pulumi_mlserve.core.service_runtime import runtime_form
from pulumi_mlserve.core.shapes import shape_of
from pulumi_mlserve.provider.call import Call, Checked, Found, PartialFailure
from pulumi_mlserve.provider.pulled_images import not_here, pull_image, release_pulled
from pulumi_mlserve.provider.service_surroundings import collected_note, other_platform, surroundings_problems
from pulumi_mlserve.provider.service_told import addresses, revision_of
from pulumi_mlserve.provider.service_variables import in_image, of_image, path_prefix, told, with_variables
from pulumi_mlserve.provider.values import UNKNOWN, has_unknown, known
from pulumi_mlserve.provider.workplace import workplace

_OWN: Final = frozenset({"image", "keys", "running"})
_PORTS: Final = ("port", "grpc_port")
# Whatever the declaration adds is a setting: it moves the revision, and the process is started with it.
_SETTINGS: Final = tuple(
    sorted(shape_of(LocalProcessInputs).by_name.keys() - {"image", "keys", "name", "running", *_PORTS})
)
_OWNER_BYTES: Final = 8
_FILES: Final = ("certificate", "certificate_key")


class LocalProcessHandler:
    """Starts, hands over, watches and stops the process of one service."""

    compared = ("name", "image", *_PORTS, "keys", "running", *_SETTINGS)
    replaced = ("name",)

    def check(self, call: Call) -> Checked:
        """Check the settings, and that the ports are free or ours."""
        settings = {name: value for name, value in known(call.news).items() if name not in _OWN}
        found = check_local_service(settings, frozenset(call.news) - frozenset(settings))
        problems = [p for p in found if p.path not in call.news or p.path in settings]
        inputs = {**call.news, "running": True, "image": _identity(call)}
        if not problems:
            problems += _name_problem(call, settings.get("name"))
        problems += surroundings_problems(call, settings, {problem.top for problem in problems})
        for line in told(settings, inputs["image"]):
            call.warn(line)
        if not problems:
            problems = [problem for name in _PORTS for problem in _port_problem(call, name, settings.get(name))]
        return Checked(inputs, problems)

    def drift(self, call: Call) -> Mapping[str, Any]:
        """Report a process that has died: looking costs next to nothing."""
        same = _same_image(call)
        if _elsewhere(call):
            return same
        status = workplace(call.settings).processes.status(_service_id(call))
        return same if status.alive else {**same, "running": False}

    def deletes_first(self, call: Call) -> bool:
        """A new name is a new service; only where it has one of the old one's ports must that go first."""
        held = {call.state.get(name) for name in _PORTS}
        return any(call.news.get(name) is not None and call.news[name] in held for name in _PORTS)

    def create(self, call: Call) -> tuple[str, dict[str, Any]]:
        """Start the process and wait until it has answered its samples."""
        if call.preview:
            return "", self._forecast(call)
        spec = self._spec(call)
        running = _started(call, spec, workplace(call.settings).processes.start)
        return spec.service_id, _outputs(call, spec, running)

    def update(self, call: Call) -> dict[str, Any]:
        """Start the new revision on the same socket, switch when it is ready, then drain the old one."""
        if _elsewhere(call):
            raise OperationError(_elsewhere_text(call, "pulumi up"))
        status = workplace(call.settings).processes.status(_service_id(call))
        if not status.alive:
            call.warn(f"starts again: {status.detail}")
        if call.preview:
            if status.alive:
                call.info("serves on while the new revision starts, and hands over once that has answered its samples")
            return self._forecast(call)
        spec = self._spec(call)
        update = functools.partial(workplace(call.settings).processes.update, spec.service_id)
        return _outputs(call, spec, _started(call, spec, update))

    def read(self, call: Call) -> Found:
        """Look at the process; a dead one is a difference, an unhealthy one an error."""
        if _elsewhere(call):
            return Found(call.id, dict(call.state), dict(call.news))
        status = workplace(call.settings).processes.status(_service_id(call))
        if not status.known:
            return Found("", {}, {})
        state = {**call.state, "state": _state(status), "pid": status.pid or 0, "port": status.port}
        state["grpc_port"] = status.grpc_port
        if status.alive and not status.ready:
            raise PartialFailure(call.id, state, f"the service is up but not ready: {status.detail}")
        return Found(call.id, state, {**call.news, "running": status.alive})

    def delete(self, call: Call) -> None:
        """Let the requests in flight end, then stop the process and remove its folder."""
        if _elsewhere(call):
            raise OperationError(_elsewhere_text(call, "pulumi destroy"))
        drain, identity = call.olds.get("drain_seconds", 30), _service_id(call)
        processes = workplace(call.settings).processes
        target = processes.collects_to(identity)
        processes.stop(identity, drain, call.status, call.cancelled, call.state.get("owner"))
        if note := collected_note(identity, target):
            call.info(note)
        release_pulled(call)

    def _forecast(self, call: Call) -> dict[str, Any]:
        port = call.news.get("port", call.state.get("port", UNKNOWN))
        grpc_port = call.news.get("grpc_port", call.state.get("grpc_port") or UNKNOWN)
        return {
            **addresses(call.news, port, grpc_port, path_prefix(call.news)),
            "revision": revision_of(call, _SETTINGS),
            "pid": UNKNOWN,
            "state": "Healthy",
            "host": UNKNOWN,
            "owner": call.state.get("owner", UNKNOWN),
        }

    def _spec(self, call: Call) -> ProcessSpec:
        place, image = workplace(call.settings), call.news["image"]
        owner = str(call.state.get("owner") or secrets.token_hex(_OWNER_BYTES))
        built = place.images.get(image["digest"])
        if built is None and has_registry(image["reference"]):
            built = pull_image(call, image["reference"], owner, at="image").built
        if built is None:
            raise OperationError(f"image: {not_here(image['reference'])}")
        if problem := other_platform(built.platform):
            raise OperationError(f"image: {problem}")
        given = {name: call.news[name] for name in _SETTINGS if call.news.get(name) is not None}
        root = place.images.rootfs(image["digest"])
        given = with_variables(given, in_image(root))
        given = runtime_form(given, collected=str(collected_folder(_service_id(call))))
        given |= {name: Path(given[name]).expanduser().absolute() for name in _FILES if name in given}
        if call.timeout and call.timeout < given.get("start_seconds", math.inf):
            given |= {"start_seconds": call.timeout, "start_limit": "customTimeouts"}
        keys = call.news.get("keys")
        return ProcessSpec(
            service_id=_service_id(call),
            service=call.news["name"],
            root=root,
            python=isolated_python(built.python, cache_folder("interpreters")),
            revision=str(revision_of(call, _SETTINGS)),
            port=call.news.get("port", call.state.get("port")),
            grpc_port=call.news.get("grpc_port", call.state.get("grpc_port")) or None,
            keys=Keys(keys["primary"], keys["secondary"]) if keys else None,
            owner=owner,
            holder=call.urn,
            **given,
        )


def _identity(call: Call) -> Any:
    # What an image contains follows from its digest: repeating it would only make a preview long.
    image = call.news.get("image")
    if not isinstance(image, Mapping):
        return image
    identity = {name: image[name] for name in ("name", "digest", "reference") if name in image}
    variables = of_image(call, image)
    return identity if variables is None else {**identity, "variables": variables}


def _same_image(call: Call) -> dict[str, Any]:
    """Return the image as it is told of now if it has the same digest: that is no difference to what runs.

    It may lie elsewhere, and an earlier release may have written down less of it.
    """
    old, new = call.olds.get("image"), call.news.get("image")
    if old == new or not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return {}
    return {"image": new} if old.get("digest") == new.get("digest") is not None else {}


def _service_id(call: Call) -> str:
    """Return the service that the resource is: whatever it was given at creation, else the one of its name."""
    return call.id or _service_named(call, str(call.news.get("name") or call.olds.get("name")))


def _service_named(call: Call, name: str) -> str:
    """Return the service of this stack that has the name, the earlier form of its identity if it lives under that."""
    plain = plain_service_id(call.project, call.stack, name)
    own = service_id(call.project, call.stack, name)
    if plain != own and is_service_id(plain):
        statuses = workplace(call.settings).processes
        if not statuses.status(own).known and statuses.status(plain).holder == call.urn:
            return plain
    return own


def _name_problem(call: Call, name: object) -> list[Problem]:
    """Return whose the name is if it is not ours; a resource that had it keeps it, whatever its URN was then."""
    if not isinstance(name, str) or name == call.olds.get("name"):
        return []
    status = workplace(call.settings).processes.status(_service_named(call, name))
    if status.holder in {"", call.urn}:
        return []
    return [Problem("name", taken_name(name, status.holder))]


def _lost(call: Call) -> bool:
    """Return whether this machine does not know a service that exists: its ports are another machine's."""
    if not call.olds:
        return False
    return not workplace(call.settings).processes.status(_service_named(call, str(call.olds.get("name")))).known


def _port_problem(call: Call, name: str, port: object) -> list[Problem]:
    """Return who has a port that is wanted for the first time, unless this very run may take it away from it."""
    if not isinstance(port, int) or port == call.olds.get(name) or _lost(call):
        return []
    taken = workplace(call.settings).processes.port_problem(_service_id(call), port, name)
    return [Problem(name, taken.removeprefix(f"{name}: "))] if taken and not _port_holder(call, port) else []


def _port_holder(call: Call, port: int) -> str:
    """Return which other service of the same stack has the port: this very run may be about to take it away from it."""
    processes, own = workplace(call.settings).processes, _service_id(call)
    having = (s for s in processes.list() if port in {s.port, s.grpc_port} and s.service_id != own)
    forms = (service_id, plain_service_id)
    ours = (s.service for s in having if s.service_id in {of(call.project, call.stack, s.service) for of in forms})
    return next(ours, "")


def _started(call: Call, spec: ProcessSpec, start: Callable[..., Running]) -> Running:
    try:
        return start(spec, call.status, call.cancelled)
    except OperationError as error:
        name = str(error).partition(":")[0]
        port = {"port": spec.port, "grpc_port": spec.grpc_port}.get(name)
        other = _port_holder(call, port) if port else ""
        if not other:
            raise
        raise OperationError(
            f"{name}: {port} is the port of service {other!r} of this stack; "
            "free it in one pulumi up, take it in the next"
        ) from error


def _elsewhere(call: Call) -> bool:
    """Return whether the service runs on another machine: a new name for this one does not make it another."""
    host = call.state.get("host", platform.node())
    if host == platform.node() or has_unknown(host):
        return False
    return not workplace(call.settings).processes.status(_service_id(call)).known


def _elsewhere_text(call: Call, command: str) -> str:
    return (
        f"the service runs on {call.state['host']!r}, not on this machine; run {command} there, "
        "or take it out of the state if that machine is gone: pulumi state delete"
    )


def _outputs(call: Call, spec: ProcessSpec, running: Running) -> dict[str, Any]:
    for line in running.limits:
        if line.startswith("not "):
            call.warn(line)
    return {
        **addresses(call.news, running.port, running.grpc_port, spec.path_prefix),
        "state": "Healthy",
        "revision": running.revision,
        "pid": running.pid,
        "host": platform.node(),
        "owner": spec.owner,
    }


def _state(status: ProcessStatus) -> str:
    if not status.alive:
        return "Stopped"
    return "Healthy" if status.ready else "Unhealthy"
